"""A real JupyterLab and a real Chromium for tests of widgets; skipped in plain words where there is no Chromium.

`lab` is one server and one browser for the whole run; `lab.open(...)` opens a notebook made of code cells or read from a
file. Everything a page or a kernel complains of is collected: end a test with `assert not page.complaints()`.
"""
import ast
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

PROJECT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BROWSER_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
                 "--disable-background-networking", "--disable-component-update"]
TOKEN = "test"  # with an empty one JupyterLab refuses POST
LAB_SETTINGS = {  # nothing that pops up, saves or asks the network
    "@jupyterlab/apputils-extension:notification":
        {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
# The notebook's own idle mark is set before its kernel is connected, so the session is asked instead.
KERNEL_READY = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget, session = panel?.sessionContext, kernel = session?.session?.kernel;
  return panel?.context?.isReady && session.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
COLLECT_KERNEL_ERRORS = """() => {
  window.kernelErrors = [];
  window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.anyMessage.connect((_, {msg, direction}) => {
    if (direction === "recv" && msg.header.msg_type === "error")
      window.kernelErrors.push(`${msg.content.ename}: ${msg.content.evalue}`);
  });
}"""
ALL_DRAWN = """() => {
  const notebook = document.querySelector(".jp-Notebook");
  return !notebook.innerText.includes("Loading widget") && [...notebook.querySelectorAll("img")].every(one => one.complete);
}"""
ASK_KERNEL = """async expression => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const asked = {code: "", silent: true, store_history: false, user_expressions: {answer: expression}};
  return (await kernel.requestExecute(asked).done).content.user_expressions.answer;
}"""


def pytest_collection_modifyitems(items):
    "Everything in this folder is a browser test."
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents: item.add_marker(pytest.mark.browser)


class Lab:
    "A JupyterLab server of its own, far from the user's settings, and a browser to look at it."

    def __init__(self, folder, browser):
        self.folder, self.browser = folder, browser
        homes = {f"JUPYTER_{name.upper()}_DIR": folder / name for name in ("config", "data", "runtime")}
        homes |= {"IPYTHONDIR": folder / "ipython", "MPLCONFIGDIR": folder / "mpl"}
        self.root, lab_homes = folder / "root", {f"{name}_dir": folder / name for name in
                                                 ("app_settings", "user_settings", "workspaces")}
        for path in [self.root, *homes.values(), *lab_homes.values()]: path.mkdir()
        (folder / "app_settings/overrides.json").write_text(json.dumps(LAB_SETTINGS))
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
                   "--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={self.root}",
                   "--ServerApp.terminals_enabled=False", "--LabApp.expose_app_in_browser=True",
                   "--LabApp.extension_manager=readonly", "--LabApp.news_url=None",
                   "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
                   # uploads above 10 MiB vanish in silence otherwise
                   '--ServerApp.tornado_settings={"websocket_max_message_size": 209715200}',
                   *(f"--LabApp.{name}={path}" for name, path in lab_homes.items())]
        # IN_TEST: errors of callbacks are raised again, and so reach complaints()
        environment = os.environ | {name: str(path) for name, path in homes.items()} | {"IN_TEST": "1"}
        with (folder / "server.log").open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.root, env=environment)
        self.url = self.wait_until_up()

    def wait_until_up(self, seconds=60):
        "The server's address, once it answers; port 0 lets it choose a free one."
        told, end = self.folder / f"runtime/jpserver-{self.process.pid}.json", time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            try:
                self.url = json.loads(told.read_text())["url"]
                self.ask("status")
                return self.url
            except (OSError, ValueError):
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"JupyterLab did not start:\n{(self.folder / 'server.log').read_text()}")

    def ask(self, what, method="GET"):
        request = urllib.request.Request(f"{self.url}api/{what}?token={TOKEN}", method=method)
        with urllib.request.urlopen(request, timeout=15) as answer: return json.loads(answer.read() or "null")

    def open(self, *cells, file=None, viewport=(1280, 1300)):
        "Open a notebook of these code cells, or a copy of `file`, and wait for its kernel."
        name = f"test_{time.time_ns()}.ipynb"
        book = nbformat.read(file, 4) if file else nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, self.root / name)
        page = self.browser.new_page(viewport=dict(zip(("width", "height"), viewport)))
        return NotebookPage(self, page, name)

    def stop(self):
        "End the server, and with it its kernels."
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class NotebookPage:
    "A notebook open in JupyterLab; `page` is Playwright's."

    def __init__(self, lab, page, name):
        self.lab, self.page, self.page_errors = lab, page, []
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))
        page.on("console", lambda said: said.type == "error" and self.page_errors.append(said.text))
        page.goto(f"{lab.url}doc/tree/{name}?token={TOKEN}", wait_until="domcontentloaded")
        page.wait_for_function(KERNEL_READY, polling=50, timeout=60_000)
        page.evaluate(COLLECT_KERNEL_ERRORS)

    def run_all(self):
        "Run every cell and wait for what they show."
        done = self.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        assert done, self.complaints()
        self.page.wait_for_function(ALL_DRAWN, polling=50, timeout=60_000)
        return self

    def kernel(self, expression):
        "Value of a Python expression in the notebook's kernel."
        answer = self.page.evaluate(ASK_KERNEL, expression)
        assert answer["status"] == "ok", answer
        return ast.literal_eval(answer["data"]["text/plain"])

    def complaints(self):
        "Errors of the page, its console and the kernel so far."
        return self.page_errors + self.page.evaluate("window.kernelErrors")

    def forget_complaints(self):
        self.page_errors.clear()
        self.page.evaluate("window.kernelErrors = []")

    def screenshot(self, name, locator=None):
        "Keep a picture under test-output/ (of `locator`, else of the whole notebook)."
        folder = PROJECT / "test-output"
        folder.mkdir(exist_ok=True)
        if locator is None:  # JupyterLab scrolls inside, so the window must grow first
            tall = self.page.evaluate("document.querySelector('.jp-WindowedPanel-inner').scrollHeight")
            self.page.set_viewport_size({"width": self.page.viewport_size["width"], "height": int(tall) + 150})
        (locator or self.page).screenshot(path=folder / f"{name}.png")
        return folder / f"{name}.png"

    def close(self):
        "Close the page and end its kernel."
        kernel = self.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.id")
        self.page.close()
        self.lab.ask(f"kernels/{kernel}", "DELETE")


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    "JupyterLab with Chromium, one of each for all browser tests."
    playwright = pytest.importorskip("playwright.sync_api", reason="no browser tests: the package playwright is missing")
    if CHROMIUM is None:
        pytest.skip("no browser tests: Chromium is not installed (on Debian: apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS, headless=True)
        server = Lab(tmp_path_factory.mktemp("lab"), browser)
        yield server
        browser.close()
        server.stop()
