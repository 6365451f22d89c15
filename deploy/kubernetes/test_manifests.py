"""The manifests, as Kubernetes and the real programs understand them. `make kubernetes` installs the validator."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
VERSIONS = ("1.29.0", "1.37.0")
COMPONENTS = ([], ["gpu"], ["s3"], ["gpu", "s3"], ["job"], ["job", "gpu", "s3"])

try:
    import kubernetes_validate
    import yaml
except ImportError:
    kubernetes_validate = yaml = None

NO_VALIDATOR = "there is no kubernetes-validate; `make kubernetes` installs it"
KUSTOMIZE = next(
    (command for command in (["kubectl", "kustomize"], ["kustomize", "build"]) if shutil.which(command[0])), None
)


def programs():
    """The folder with the programs of this build."""
    named = os.environ.get("COLEARN_PROGRAMS")
    target = Path(os.environ.get("CARGO_TARGET_DIR", CHECKOUT / "target"))
    folders = [Path(named)] if named else [target / "debug", target / "release"]
    return next((folder for folder in folders if (folder / "colearn-worker").exists()), None)


def rendered(components=()):
    """All objects, with these components, as `kubectl apply -k` sends them."""
    with tempfile.TemporaryDirectory() as folder:
        base, mine = Path(folder, "kubernetes"), Path(folder, "mine")
        shutil.copytree(HERE, base)
        mine.mkdir()
        overlay = {
            "resources": ["../kubernetes"],
            "components": [f"../kubernetes/{name}" for name in components],
        }
        (mine / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        output = subprocess.run([*KUSTOMIZE, str(mine)], capture_output=True, text=True, check=False)
        if output.returncode:
            raise AssertionError(output.stderr)
        return list(yaml.safe_load_all(output.stdout))


def named(objects, kind, name):
    found = [it for it in objects if it["kind"] == kind and it["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m|h)", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def pods(objects):
    """The workloads, with their only container."""
    worker = next(it["kind"] for it in objects if it["kind"] in ("Deployment", "Job"))
    for kind, name in (("StatefulSet", "colearn-coordinator"), (worker, "colearn-worker")):
        spec = named(objects, kind, name)["spec"]
        (container,) = spec["template"]["spec"]["containers"]
        yield name, spec["template"], container


def environment(container):
    return {it["name"]: it.get("value") for it in container.get("env", [])}


@unittest.skipIf(kubernetes_validate is None, NO_VALIDATOR)
class Files(unittest.TestCase):
    def test_kubernetes_accepts_the_objects_of_every_file(self):
        seen = 0
        for path in [*HERE.glob("*/*.yaml"), HERE / "copy-data.yaml"]:
            # Patches and kustomizations are no objects; they are rendered below.
            if path.parent.name not in ("gpu", "s3") and path.name != "kustomization.yaml":
                for item in yaml.safe_load_all(path.read_text()):
                    for version in VERSIONS:
                        with self.subTest(path=path.name, kind=item["kind"], version=version):
                            kubernetes_validate.validate(item, version, strict=True)
                            seen += 1
        self.assertEqual(seen, 11 * len(VERSIONS))

    def test_what_kubernetes_does_not_know_is_refused(self):
        for change in ({"replica": 1}, {"replicas": "two"}):
            item = next(yaml.safe_load_all((HERE / "workers/workers.yaml").read_text()))
            item["spec"].update(change)
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(item, VERSIONS[-1], strict=True)


@unittest.skipIf(kubernetes_validate is None, NO_VALIDATOR)
@unittest.skipIf(KUSTOMIZE is None, "there is neither kubectl nor kustomize: https://kubernetes.io/docs/tasks/tools")
class Manifests(unittest.TestCase):
    def test_kubernetes_accepts_every_object(self):
        for components in COMPONENTS:
            for item in rendered(components):
                for version in VERSIONS:
                    with self.subTest(components=components, kind=item["kind"], version=version):
                        kubernetes_validate.validate(item, version, strict=True)

    def test_the_programs_know_every_argument_and_every_variable(self):
        folder = programs()
        if folder is None:
            self.skipTest("the programs are not built: cargo build --workspace")
        for components in COMPONENTS:
            for name, _, container in pods(rendered(components)):
                command = container["command"] + container["args"]
                commands = [command]
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    asked = container.get(probe, {}).get("exec")
                    commands += [asked["command"]] if asked else []
                variables = ""
                for program, *arguments in commands:
                    # Arguments before `--help` are checked.
                    call = [str(folder / program), *arguments, "--help"]
                    output = subprocess.run(call, capture_output=True, text=True, check=False)
                    with self.subTest(components=components, workload=name, call=call):
                        self.assertEqual(output.returncode, 0, output.stderr)
                        self.assertIn("Usage:", output.stdout)
                    variables += output.stdout
                for variable in environment(container):
                    if variable.startswith("COLEARN_"):
                        with self.subTest(workload=name, variable=variable):
                            self.assertIn(f"[env: {variable}=", variables)

    def test_values_of_variables_are_accepted(self):
        folder = programs()
        if folder is None:
            self.skipTest("the programs are not built: cargo build --workspace")
        for components in COMPONENTS:
            for name, _, container in pods(rendered(components)):
                own = {key: value for key, value in environment(container).items() if value is not None}
                # A wrong value ends the program before its help is shown only if it is an argument.
                program, *arguments = container["command"] + container["args"]
                extra = []
                for key, flag in (("COLEARN_GRACE", "--grace"), ("COLEARN_DEVICE", "--device"),
                                  ("COLEARN_CONNECT_TIMEOUT", "--connect-timeout"),
                                  ("COLEARN_IDLE_TIMEOUT", "--idle-timeout"),
                                  ("COLEARN_PARKED_EXIT_CODE", "--parked-exit-code")):
                    extra += [f"{flag}={own[key]}"] if key in own else []
                call = [str(folder / program), *arguments, *extra, "--help"]
                output = subprocess.run(call, capture_output=True, text=True, check=False)
                self.assertEqual(output.returncode, 0, f"{name}: {output.stderr}")

    def test_workers_have_the_time_to_park(self):
        for name, pod, container in pods(rendered()):
            grace = environment(container).get("COLEARN_GRACE")
            if grace:
                self.assertGreaterEqual(pod["spec"]["terminationGracePeriodSeconds"], seconds(grace) + 10, name)
                break
        else:
            self.fail("no workload has a grace")

    def test_a_job_has_the_workers_of_the_deployment_and_ends(self):
        ((_, deployment_pod, deployed),) = [it for it in pods(rendered()) if it[0] == "colearn-worker"]
        objects = rendered(["job"])
        kinds = {it["kind"] for it in objects}
        self.assertTrue("Job" in kinds and "Deployment" not in kinds)
        # Kubernetes computes no `maxUnavailable` for the pods of a Job.
        names = [it["metadata"]["name"] for it in objects if it["kind"] == "PodDisruptionBudget"]
        self.assertEqual(names, ["colearn-coordinator"])
        job = named(objects, "Job", "colearn-worker")["spec"]
        self.assertEqual((job["completionMode"], job["completions"]), ("Indexed", job["parallelism"]))
        ((_, pod, container),) = [it for it in pods(objects) if it[0] == "colearn-worker"]
        self.assertEqual(container["args"], [*deployed["args"], "--name=worker-$(JOB_COMPLETION_INDEX)"])
        own, theirs = environment(container), environment(deployed)
        self.assertEqual(own.keys() ^ theirs.keys(),
                         {"COLEARN_IDLE_TIMEOUT", "COLEARN_PARKED_EXIT_CODE", "COLEARN_WORKER_NAME"})
        self.assertEqual({key: own[key] for key in own.keys() & theirs.keys()},
                         {key: theirs[key] for key in own.keys() & theirs.keys()})
        for key in ("image", "command", "resources", "securityContext", "volumeMounts"):
            self.assertEqual(container[key], deployed[key])
        spec, other = dict(pod["spec"]), dict(deployment_pod["spec"])
        self.assertEqual(spec.pop("restartPolicy"), "Never")
        del spec["containers"], other["containers"]
        self.assertEqual(spec, other)
        self.assertEqual(pod["metadata"], deployment_pod["metadata"])

    def test_a_job_does_not_count_preemption_as_a_failure(self):
        for components in (["job"], ["job", "gpu", "s3"]):
            objects = rendered(components)
            (container,) = [it[2] for it in pods(objects) if it[0] == "colearn-worker"]
            parked = int(environment(container)["COLEARN_PARKED_EXIT_CODE"])
            job = named(objects, "Job", "colearn-worker")["spec"]
            rules = job["podFailurePolicy"]["rules"]
            ignored = [it for it in rules if it["action"] == "Ignore"]
            codes = [it["onExitCodes"]["values"] for it in ignored if "onExitCodes" in it]
            self.assertEqual(codes, [[parked]])
            self.assertIn("DisruptionTarget", [c["type"] for it in ignored for c in it.get("onPodConditions", [])])
            for rule in rules:
                self.assertEqual(rule.get("onExitCodes", {}).get("containerName", container["name"]), container["name"])
            # What the worker says of its exit codes; 0 and the one of parked tasks are no failures.
            (fatal,) = [it["onExitCodes"]["values"] for it in rules if it["action"] == "FailJob"]
            folder = programs()
            if folder:
                call = [str(folder / "colearn-worker"), "--help"]
                told = subprocess.run(call, capture_output=True, text=True, check=True).stdout
                self.assertRegex(" ".join(told.split()), rf"Exit codes: .*; {fatal[0]} wrong usage;")
            self.assertEqual(job["template"]["spec"]["restartPolicy"], "Never")

    def test_containers_may_do_nothing_that_they_need_not(self):
        for components in COMPONENTS:
            for name, pod, container in pods(rendered(components)):
                with self.subTest(components=components, workload=name):
                    whole, own = pod["spec"]["securityContext"], container["securityContext"]
                    self.assertFalse(pod["spec"]["automountServiceAccountToken"])
                    self.assertTrue(whole["runAsNonRoot"] and whole["runAsUser"] >= 10000)
                    self.assertEqual(whole["seccompProfile"], {"type": "RuntimeDefault"})
                    # Otherwise keys and the database become readable for the group at each start.
                    self.assertEqual(whole["fsGroupChangePolicy"], "OnRootMismatch")
                    self.assertTrue(own["readOnlyRootFilesystem"])
                    self.assertFalse(own["allowPrivilegeEscalation"])
                    self.assertEqual(own["capabilities"], {"drop": ["ALL"]})

    def test_paths_are_on_volumes(self):
        for components in COMPONENTS:
            for name, pod, container in pods(rendered(components)):
                spec = pod["spec"]
                claims = {"state"} if name == "colearn-coordinator" else set()
                volumes = {it["name"] for it in spec["volumes"]} | claims
                mounts = {it["mountPath"]: it for it in container["volumeMounts"]}
                self.assertEqual({it["name"] for it in mounts.values()}, volumes, f"{name}, {components}")
                values = [it.partition("=")[2] for it in container["args"]] + list(environment(container).values())
                probes = [container.get(it, {}).get("exec", {}) for it in ("startupProbe", "readinessProbe")]
                values += [it.partition("=")[2] for probe in probes for it in probe.get("command", [])]
                paths = [Path(value) for value in values if value and value.startswith("/")]
                self.assertTrue(paths)
                for path in paths:
                    around = [str(path), *map(str, path.parents)]
                    self.assertTrue(any(it in mounts for it in around), f"{name}: {path} is on no volume")

    def test_selectors_find_what_they_are_about(self):
        objects = rendered(["gpu", "s3"])
        labels = {name: pod["metadata"]["labels"] for name, pod, _ in pods(objects)}

        def found(selector):
            wanted = selector.get("matchLabels", selector)
            return {name for name, own in labels.items() if wanted.items() <= own.items()}

        coordinator, worker = {"colearn-coordinator"}, {"colearn-worker"}
        self.assertEqual(found(named(objects, "Service", "colearn")["spec"]["selector"]), coordinator)
        for own in (coordinator, worker):
            (name,) = own
            self.assertEqual(found(named(objects, "PodDisruptionBudget", name)["spec"]["selector"]), own)
            policy = named(objects, "NetworkPolicy", name)["spec"]
            self.assertEqual(found(policy["podSelector"]), own)
            self.assertEqual(set(policy["policyTypes"]), {"Ingress", "Egress"})
            if own == coordinator:
                who = [found(it["podSelector"]) for it in policy["ingress"][0]["from"]]
                self.assertEqual(who, [worker, set()])
                self.assertEqual(policy["egress"], [])
            else:
                self.assertEqual(found(policy["egress"][0]["to"][0]["podSelector"]), coordinator)
                self.assertIn({"ports": [{"port": 443}]}, policy["egress"])

    def test_ports_and_names_agree(self):
        objects = rendered()
        service = named(objects, "Service", "colearn")
        (_, _, coordinator), (_, _, worker) = pods(objects)
        port = service["spec"]["ports"][0]["port"]
        self.assertIn(f"--listen=0.0.0.0:{port}", coordinator["args"])
        self.assertIn(f"--coordinator={service['metadata']['name']}:{port}", worker["args"])
        self.assertEqual(coordinator["ports"][0]["containerPort"], port)

    def test_the_images_have_the_programs(self):
        for part, (_, _, container) in zip(("coordinator", "worker"), pods(rendered())):
            text = (HERE.parent / "containers" / f"Containerfile.{part}").read_text()
            (program,) = container["command"]
            self.assertRegex(text, rf"COPY .*target/release/{program}\b")
            self.assertIn(f'ENTRYPOINT ["{program}"]', text)
            user = re.search(r"^USER (\d+):(\d+)$", text, re.M).groups()
            self.assertEqual(user, ("10001", "10001"))


if __name__ == "__main__":
    unittest.main()
