import { defineConfig } from "vite";

// `npm run dev` serves the page from its sources, with the JSON of a server that runs beside it.
export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: { target: "es2022", chunkSizeWarningLimit: 1500 },
  server: { proxy: { "/api": process.env.SCALELAW_HTTP ?? "http://127.0.0.1:7080" } },
});
