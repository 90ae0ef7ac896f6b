"""What is deployed is well formed: systemd's own check of the units and of their hardening, the Kubernetes manifests
against the API's schema (as Debian's python3-kubernetes carries it), the container's packages against what the programs
link to, and every option that is passed anywhere against the programs' own help."""

import os
import re
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml
from kubernetes import client

BIN = Path(os.environ["SCALELAW_BIN"])
SOURCE = Path(os.environ["SCALELAW_SOURCE"])
DEPLOY = SOURCE / "deploy"


def run(*argv, check=True, env=None):
    result = subprocess.run([str(word) for word in argv], capture_output=True, text=True,
                            env={**os.environ, **(env or {})})
    if check and result.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, argv))}:\n{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def known_options(program):
    return set(re.findall(r"--[a-z][a-z-]*", run(BIN / program, "--help")))


class Systemd(unittest.TestCase):
    def units(self):
        """The units with the built programs in place of the installed ones."""
        directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for unit in sorted((DEPLOY / "systemd").glob("*.service")):
            text = unit.read_text().replace("/usr/local/bin/", f"{BIN}/")
            # The check knows users of this machine only.
            text = re.sub(r"^User=scalelaw$", "User=daemon", text, flags=re.M)
            (directory / unit.name).write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.M))
        return directory

    def test_units_are_valid(self):
        for unit in self.units().glob("*.service"):
            user = ["--user"] if "slurm" in unit.name else []
            # Silent where all is well.
            self.assertEqual(run("systemd-analyze", *user, "verify", "--man=no", unit,
                                 env={"XDG_RUNTIME_DIR": str(unit.parent)}), "", unit.name)

    def test_units_are_hardened(self):
        directory = self.units()
        for name, most in (("scalelaw-server", 20), ("scalelaw-worker", 45)):
            run("systemd-analyze", "security", "--offline=true", f"--threshold={most}", directory / f"{name}.service")

    def test_options_exist(self):
        for unit in (DEPLOY / "systemd").glob("*.service"):
            for program in ("scalelaw-server", "scalelaw-worker"):
                for line in re.findall(rf"bin/{program}(.*)", unit.read_text()):
                    self.assertLessEqual(set(re.findall(r"--[a-z][a-z-]*", line)), known_options(program))


class Kubernetes(unittest.TestCase):
    MODELS = {"v1/Service": client.V1Service, "apps/v1/StatefulSet": client.V1StatefulSet}

    def documents(self):
        for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
            for document in yaml.safe_load_all(file.read_text()):
                yield file.name, document

    def check(self, value, kind, path):
        """Every field exists in the schema, has its type, and none that is required is missing."""
        generic = re.fullmatch(r"(list|dict)[\[(](?:str, )?(.*)[\])]", kind)
        if generic:
            self.assertIsInstance(value, {"list": list, "dict": dict}[generic[1]], path)
            items = enumerate(value) if generic[1] == "list" else value.items()
            for key, item in items:
                self.check(item, generic[2], f"{path}[{key}]")
        elif kind in ("str", "bool", "int"):
            self.assertIsInstance(value, {"str": str, "bool": bool, "int": int}[kind], path)
        elif kind == "object":
            self.assertIsInstance(value, (str, int), path)
        else:
            model = getattr(client, kind)
            names = {model.attribute_map[name]: (name, of) for name, of in model.openapi_types.items()}
            self.assertLessEqual(set(value), set(names), path)
            for key, item in value.items():
                self.check(item, names[key][1], f"{path}.{key}")
            # The model itself knows what is required and which values are allowed.
            model(**{names[key][0]: item for key, item in value.items()})

    def test_manifests_follow_the_schema(self):
        count = 0
        for file, document in self.documents():
            kind = self.MODELS[f"{document['apiVersion']}/{document['kind']}"]
            self.check(document, kind.__name__, f"{file}:{document['kind']}")
            count += 1
        self.assertEqual(count, 4)

    def test_a_wrong_manifest_would_be_noticed(self):
        good = next(d for _, d in self.documents() if d["kind"] == "StatefulSet")
        for break_it in (lambda spec: spec.pop("selector"), lambda spec: spec.update(replica=1),
                         lambda spec: spec.update(replicas="one"),
                         lambda spec: spec["template"]["spec"]["containers"][0].pop("name")):
            document = yaml.safe_load(yaml.safe_dump(good))
            break_it(document["spec"])
            with self.assertRaises((AssertionError, ValueError)):
                self.check(document, "V1StatefulSet", "broken")

    def test_selectors_mounts_and_options_fit_together(self):
        for file, document in self.documents():
            if document["kind"] != "StatefulSet":
                continue
            spec = document["spec"]
            pod = spec["template"]
            self.assertEqual(spec["selector"]["matchLabels"], pod["metadata"]["labels"])
            volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
            volumes |= {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
            for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
                self.assertLessEqual({mount["name"] for mount in container["volumeMounts"]}, volumes, file)
                self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
                words = container.get("args", [])
                options = {word.split("=")[0] for word in words[1:]}
                if words:
                    self.assertLessEqual(options, known_options(words[0]), file)


class Container(unittest.TestCase):
    TEXT = (DEPLOY / "container/Containerfile").read_text()

    def packages(self, target):
        stage = re.split(r"^FROM ", self.TEXT, flags=re.M)
        chosen = [part for part in stage if re.search(rf"AS ({'|'.join(target)})\b", part.splitlines()[0])]
        return set(re.findall(r"[a-z0-9][a-z0-9.+-]+", " ".join(chosen)))

    def needed_packages(self, program):
        needed = set()
        for library in re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", BIN / program)):
            path = re.search(rf"{re.escape(library)} => (\S+)", run("ldd", BIN / program))
            if path:
                # Listed under /lib or /usr/lib; with its folder, since there may be one for 32 bits too.
                file = Path(os.path.realpath(path[1]))
                owner = run("dpkg-query", "-S", f"*/{file.parent.name}/{file.name}")
                needed |= {line.split(":")[0] for line in owner.splitlines()}
        return needed - {"libc6", "libgcc-s1", "libstdc++6", "zlib1g"}

    def test_images_hold_the_libraries_of_their_programs(self):
        programs = {"scalelaw-server": ["runtime", "server"], "scalelaw-worker": ["runtime", "worker"]}
        if (BIN / "scalelaw-train").exists():
            programs["scalelaw-train"] = ["runtime", "worker"]
        for program, stages in programs.items():
            packages = self.packages(stages)
            # What one of them brings along is there too.
            listed = run("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
                         "--no-breaks", "--no-replaces", "--no-enhances", "--installed",
                         *[p for p in packages if p.startswith("lib")], check=False)
            brought = set(re.findall(r"^([a-z0-9][a-z0-9.+-]+)", listed, flags=re.M))
            self.assertLessEqual(self.needed_packages(program), packages | brought, program)

    def test_copied_files_exist(self):
        for source in re.findall(r"^COPY (?!--from)(\S+)", self.TEXT, flags=re.M):
            self.assertTrue((SOURCE / source).exists(), source)


if __name__ == "__main__":
    unittest.main(verbosity=2)
