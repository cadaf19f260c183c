"""deploy/Containerfile and deploy/compose.yaml, as far as they can be judged without a container engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from app.config import load
from tests.documents import ROOT

DEPLOY = ROOT / "deploy"
CONTAINERFILE = DEPLOY / "Containerfile"
HADOLINT = shutil.which("hadolint", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
GATEWAYS = ("gateway-1", "gateway-2")


def instructions(name: str) -> list[str]:
    """Return the arguments of an instruction in the order written, those over several lines on one."""
    text = re.sub(r"\\\n\s*", "", CONTAINERFILE.read_text())
    return [line.removeprefix(f"{name} ") for line in text.splitlines() if line.startswith(f"{name} ")]


class TestContainerfile:
    """The image."""

    def test_the_linter_has_nothing_to_say(self) -> None:
        """hadolint knows what usually goes wrong with such files."""
        assert HADOLINT
        done = subprocess.run(
            [HADOLINT, "--no-color", CONTAINERFILE], capture_output=True, text=True, timeout=60, check=False
        )
        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)

    def test_it_runs_without_rights_and_says_whether_it_is_well(self) -> None:
        """The last stage ends as a user of its own, with a health check that asks whether it is ready."""
        assert ["10001:10001"] == instructions("USER")
        [check] = instructions("HEALTHCHECK")
        assert "/readyz" in check

    def test_it_is_given_what_the_packages_are_built_from(self) -> None:
        """What isn't copied can't be built, and what the engine is told to ignore can't be copied."""
        copied = {name for line in instructions("COPY")[:3] for name in line.split()[:-1]}
        assert {"pyproject.toml", "README.md", "LICENSE", "openapi.yaml", "contracts", "app"} == copied
        ignored = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
        assert copied == {line[1:] for line in ignored if line.startswith("!")}
        assert all((ROOT / name).exists() for name in copied)


class TestCompose:
    """Two gateways behind nginx, and their database."""

    def test_follows_the_specification(self) -> None:
        """Every key exists, every value is of its kind, and what is referred to is there."""
        compose = PyCompose.from_json(json.dumps(COMPOSE))
        compose.validate()
        assert [*GATEWAYS, "nginx", "database"] == compose.service_names()

    def test_a_key_that_there_is_not_would_be_found(self) -> None:
        """The parser is strict: what it says nothing of is right."""
        with pytest.raises(ValueError, match="restrat"):
            PyCompose.from_json(json.dumps({"services": {"a": {"image": "a", "restrat": "always"}}}))

    @pytest.mark.parametrize("name", [*GATEWAYS, "nginx"])
    def test_has_a_read_only_root_and_no_rights(self, name: str) -> None:
        """What faces clients can neither change its own files nor become more than it is."""
        service = COMPOSE["services"][name]
        assert (True, ["ALL"], ["no-new-privileges:true"]) == (
            service["read_only"],
            service["cap_drop"],
            service["security_opt"],
        )

    def test_its_configuration_loads(self) -> None:
        """With the variables that the compose file gives it, and the network that it lies in."""
        given = COMPOSE["services"]["gateway-1"]["environment"]
        loaded = load(DEPLOY / "zero.json5", dict.fromkeys(given, "value"))
        assert "postgresql://zero:value@database/zero" == loaded.config.session.store
        [network] = COMPOSE["networks"]["inside"]["ipam"]["config"]
        assert (network["subnet"],) == loaded.config.gateway.trusted_proxies

    def test_there_is_time_to_drain(self) -> None:
        """A gateway is given longer to stop than it takes by default."""
        drain = load(DEPLOY / "zero.json5", {"POSTGRES_PASSWORD": "x"}).config.gateway.drain_seconds
        assert all(float(COMPOSE["services"][name]["stop_grace_period"][:-1]) > drain + 5 for name in GATEWAYS)
