# The page in dashboard/, built by Vite and compiled into the server. Sets `dashboard_page` to the source that holds it.
set(dashboard_page ${CMAKE_BINARY_DIR}/generated/server/page_files.cc)
set(dashboard ${CMAKE_SOURCE_DIR}/dashboard)

if(NOT SCALELAW_DASHBOARD)
  file(WRITE ${dashboard_page}.new
    "#include \"server/http/page.h\"\n\nnamespace scalelaw::server {\nconst std::vector<PageFile>& page_files() {\n"
    "  static const std::vector<PageFile> none;\n  return none;\n}\n}  // namespace scalelaw::server\n")
  configure_file(${dashboard_page}.new ${dashboard_page} COPYONLY)
  return()
endif()

find_program(NPM npm)
if(NOT NPM)
  message(FATAL_ERROR "npm was not found: install Debian's nodejs and npm (deploy/install.sh does), "
                      "or build without the dashboard by -DSCALELAW_DASHBOARD=OFF")
endif()
file(GLOB_RECURSE page_sources CONFIGURE_DEPENDS ${dashboard}/src/* ${dashboard}/public/*)
list(APPEND page_sources ${dashboard}/index.html ${dashboard}/vite.config.ts ${dashboard}/tsconfig.json)
add_custom_command(
  OUTPUT ${dashboard}/node_modules/.package-lock.json
  COMMAND ${NPM} ci --no-audit --no-fund --loglevel=error
  DEPENDS ${dashboard}/package.json ${dashboard}/package-lock.json
  WORKING_DIRECTORY ${dashboard}
  COMMENT "Installing the dashboard's npm packages"
  VERBATIM)
add_custom_command(
  OUTPUT ${dashboard_page}
  COMMAND ${NPM} run --silent build -- --outDir ${CMAKE_BINARY_DIR}/dashboard
  COMMAND ${NPM} run --silent embed -- ${CMAKE_BINARY_DIR}/dashboard ${dashboard_page}
  DEPENDS ${page_sources} ${dashboard}/embed.mjs ${dashboard}/node_modules/.package-lock.json
  WORKING_DIRECTORY ${dashboard}
  COMMENT "Building the dashboard"
  VERBATIM)
