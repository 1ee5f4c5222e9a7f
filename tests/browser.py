"""A headless Chromium for tests, driven by plain HTTP calls to chromedriver (W3C WebDriver)."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ENTER, SPACE, TAB, RIGHT = "\ue007", " ", "\ue004", "\ue014"
# The machine's proxy settings are not for a server on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Browser:
    """One session of a browser; `log` says what it asked the network for and complained about."""

    def __init__(self, server: str, *, javascript: bool = True, dark: bool = False) -> None:
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        arguments += ["--hide-scrollbars", "--no-first-run", "--disable-background-networking"]
        arguments += ["--blink-settings=preferredColorScheme=0"] if dark else []
        options: dict[str, Any] = {"args": arguments, "binary": shutil.which("chromium")}
        if not javascript:
            key = "profile.managed_default_content_settings.javascript"
            options["prefs"] = {key: 2}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self.server, self.session = server, ""
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{made['sessionId']}"

    def _call(self, method: str, path: str, data: object = None) -> Any:
        body = None if method != "POST" else json.dumps(data or {}).encode()
        request = urllib.request.Request(
            self.server + self.session + path,
            body,
            {"Content-Type": "application/json"},
            method=method,
        )
        with _OPENER.open(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]

    def open(self, path: Path) -> None:
        self._call("POST", "/url", {"url": path.resolve().as_uri()})

    def find(self, css: str) -> str:
        found = self._call("POST", "/element", {"using": "css selector", "value": css})
        return str(found[ELEMENT])

    def click(self, css: str) -> None:
        self._call("POST", f"/element/{self.find(css)}/click")

    def keys(self, css: str, text: str) -> None:
        self._call("POST", f"/element/{self.find(css)}/value", {"text": text})

    def shown(self, css: str) -> bool:
        return bool(self._call("GET", f"/element/{self.find(css)}/displayed"))

    def text(self, css: str) -> str:
        return str(self._call("GET", f"/element/{self.find(css)}/text"))

    def run(self, script: str) -> Any:
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def resize(self, width: int, height: int) -> None:
        """Pretend a screen of that size, narrower than a window may be."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        name = "Emulation.setDeviceMetricsOverride"
        self._call("POST", "/goog/cdp/execute", {"cmd": name, "params": size})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def complaints(self) -> list[str]:
        """Messages of the console."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """Addresses asked for since the last call."""
        entries = self._call("POST", "/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        sent = (m for m in messages if m["method"] == "Network.requestWillBeSent")
        return [str(message["params"]["request"]["url"]) for message in sent]

    def quit(self) -> None:
        self._call("DELETE", "")


@contextlib.contextmanager
def driver_server(folder: Path) -> Iterator[str]:
    """Run chromedriver on a free port; skips the test where there is none."""
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    log = folder / "chromedriver.log"
    env = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [driver, "--port=0"], stdout=stream, stderr=subprocess.STDOUT, env=env
        )
        try:
            yield f"http://127.0.0.1:{_port(process, log)}"
        finally:
            process.terminate()
            process.wait(timeout=20)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if "started successfully on port" in line:
                return int(line.rstrip(".").rpartition(" ")[2])
        time.sleep(0.05)
    raise AssertionError(f"chromedriver did not start: {log.read_text(encoding='utf-8')}")
