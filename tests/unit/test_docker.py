"""What the files of docker/ say of one another, of the program and of the tested versions.

No image is built here: that takes an engine and the network.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

import facepipe
from facepipe.cli.main import app
from facepipe.workers.resources import worker_bytes

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
IMAGE = f"facepipe:{facepipe.__version__}"
#: What each Dockerfile makes.
IMAGES = {"Dockerfile": IMAGE, "Dockerfile.cuda": f"{IMAGE}-cuda"}
USER = 10001


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile and what follows each, a line each."""
    lines = (DOCKER / name).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    pairs = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(word, re.sub(r"\s+", " ", rest)) for word, rest in pairs]


def final_stage(name: str) -> list[tuple[str, str]]:
    found = instructions(name)
    last = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[last:]


def documents(name: str) -> dict[str, Any]:
    """The documents of a YAML file by their kind."""
    loaded = list(yaml.safe_load_all((DOCKER / name).read_text()))
    return {document.get("kind", "compose"): document for document in loaded}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(documents("compose.yaml")["compose"]["services"])


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    return dict(documents("kuberay/raycluster.yaml")["RayCluster"]["spec"])


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return dict(documents("kuberay/rayjob.yaml")["RayJob"]["spec"])


@pytest.fixture(scope="module")
def pods(cluster: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """The specification of every pod that the manifests ask for, by what it does."""
    found = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    found |= {"head": cluster["headGroupSpec"]["template"], "submit": job["submitterPodTemplate"]}
    return {name: template["spec"] for name, template in found.items()}


@pytest.mark.parametrize("name", IMAGES)
def test_base_images_are_pinned_to_a_patch_version(name: str) -> None:
    stages: set[str] = set()
    for word, rest in instructions(name):
        if word != "FROM":
            continue
        image, *named = rest.split()
        assert image in stages or re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+-[a-z0-9.-]+", image), image
        stages |= {named[1]} if named else set()


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_the_command_and_not_root(name: str) -> None:
    said = dict(final_stage(name))
    assert said["USER"] == f"{USER}:{USER}"  # the last of them, as a dict keeps it
    assert said["ENTRYPOINT"] == '["facepipe"]'
    assert f'image.version="{facepipe.__version__}"' in said["LABEL"]
    assert f"useradd --uid {USER}" in said["RUN"]
    assert {"RAY_USAGE_STATS_ENABLED=0", "ORT_DISABLE_TELEMETRY=1"} <= set(said["ENV"].split())


def test_both_images_have_one_python() -> None:
    """Ray refuses nodes of another Python."""
    (minor,) = set(re.findall(r"python:(\d+\.\d+)", (DOCKER / "Dockerfile").read_text()))
    installed = str(instructions("Dockerfile.cuda"))
    assert set(re.findall(r"python(\d+\.\d+)", installed)) == {minor}


@pytest.mark.parametrize("name", IMAGES)
def test_the_build_context_holds_what_is_copied(name: str) -> None:
    first, *rest = (DOCKER / f"{name}.dockerignore").read_text().splitlines()[1:]
    admitted = {line.removeprefix("!") for line in rest if line.startswith("!")}
    copied = [rest.split()[:-1] for word, rest in instructions(name) if word == "COPY"]
    wanted = {source for sources in copied if "--from" not in sources[0] for source in sources}
    assert first == "*"
    assert wanted == admitted
    assert all((ROOT / source).exists() for source in wanted)


def test_every_file_names_these_images_and_no_other() -> None:
    for path in DOCKER.rglob("*"):
        if path.is_file():
            named = re.findall(r"(?<![\w-])facepipe:[\w.-]+", path.read_text())
            assert set(named) <= set(IMAGES.values()), path
            assert ":latest" not in path.read_text(), path
    for name, image in IMAGES.items():
        assert f"-f docker/{name} -t {image} ." in (DOCKER / name).read_text()


def test_ray_has_one_version(cluster: dict[str, Any]) -> None:
    said = {rest for name in IMAGES for _, rest in instructions(name) if "RAY_VERSION=" in rest}
    assert said == {f"RAY_VERSION={cluster['rayVersion']}"}
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
    if "ray" not in pins:
        pytest.skip("constraints.txt does not pin ray")
    assert pins["ray"] == cluster["rayVersion"]


def test_compose_runs_the_image_small_and_unseen(services: dict[str, Any]) -> None:
    assert set(services) == {"head", "worker", "batch"}
    for service in services.values():
        assert service["image"] == IMAGE
        assert service["user"] == f"{USER}:{USER}"
        assert service["environment"]["RAY_USAGE_STATS_ENABLED"] == "0"
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert [volume["target"] for volume in service["volumes"]] == ["/in", "/out"]
    assert services["head"]["build"] == {"context": "..", "dockerfile": "docker/Dockerfile"}
    assert services["batch"]["profiles"] == ["batch"]


@pytest.mark.parametrize("name", ["head", "worker"])
def test_compose_starts_ray_and_asks_after_it(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["entrypoint"] == ["ray", "start"]
    assert "--block" in service["command"]
    assert service["healthcheck"]["test"][:3] == ["CMD", "ray", "health-check"]
    (objects,) = (o for o in service["command"] if o.startswith("--object-store-memory="))
    assert int(objects.partition("=")[2]) < int(service["shm_size"].removesuffix("mb")) << 20


def test_pods_are_not_root_and_bounded(pods: dict[str, Any]) -> None:
    assert set(pods) == {"head", "cpu", "gpu", "submit"}
    for name, pod in pods.items():
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == USER
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["image"] == (f"{IMAGE}-cuda" if name == "gpu" else IMAGE)
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][bound])
            assert ("nvidia.com/gpu" in container["resources"][bound]) == (name == "gpu")


def test_workers_have_the_memory_that_they_ask_ray_for(
    services: dict[str, Any], pods: dict[str, Any]
) -> None:
    """One worker a processor; Ray keeps at most 30 % of the memory for its objects."""
    limits = [services["worker"]["deploy"]["resources"]["limits"]]
    limits += [pods[name]["containers"][0]["resources"]["limits"] for name in ("cpu", "gpu")]
    for limit in limits:
        cpus = re.sub(r"\D", "", str(limit.get("cpus") or limit["cpu"]))
        gibibytes = re.sub(r"\D", "", limit["memory"])
        assert int(cpus) * worker_bytes() < 0.7 * int(gibibytes) * 2**30


def test_the_cluster_grows_within_bounds(cluster: dict[str, Any]) -> None:
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    for group in groups.values():
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert groups["gpu"]["replicas"] == 0


def test_the_job_finds_its_cluster_and_its_videos(
    cluster: dict[str, Any], job: dict[str, Any], pods: dict[str, Any]
) -> None:
    found = documents("kuberay/raycluster.yaml")
    claim = found["PersistentVolumeClaim"]
    assert job["clusterSelector"] == {"ray.io/cluster": found["RayCluster"]["metadata"]["name"]}
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for name in ("head", "cpu", "gpu"):
        (volume,) = pods[name]["volumes"]
        (mount,) = pods[name]["containers"][0]["volumeMounts"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert mount == {"name": volume["name"], "mountPath": "/archive"}
    assert job["entrypoint"].startswith("facepipe batch /archive/in -o /archive/out ")


def commands(services: dict[str, Any], job: dict[str, Any]) -> Iterator[list[str]]:
    """Every facepipe command that the kit runs or tells of, less the word facepipe."""
    yield services["batch"]["command"][1:]
    yield shlex.split(job["entrypoint"])[1:]
    for line in (DOCKER / "README.md").read_text().replace("\\\n", " ").splitlines():
        if told := re.search(r"[ `]facepipe(?::\S+)? (run|batch) ([^`]+)", line):
            yield [told[1], *shlex.split(told[2], comments=True)]


def test_commands_use_options_that_exist(services: dict[str, Any], job: dict[str, Any]) -> None:
    group: Any = get_command(app)
    context = typer.Context(group)
    used = list(commands(services, job))
    assert {command for command, *_ in used} == {"run", "batch"}
    for command, *words in used:
        params = group.get_command(context, command).params
        options = {o for p in params for o in (*p.opts, *p.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= options
