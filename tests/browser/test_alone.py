"""A page with panels on it asks nobody but its own server, and that server asks nobody."""

import psutil
import pytest
from conftest import Page
from panels import CHAPTERS, panel_cells

pytestmark = pytest.mark.browser


def test_a_page_asks_nobody_but_its_own_server(lab, browser):
    asked, talked_to = set(), set()
    for chapter in ("01_trajectory_weighting", "05_entropy_mechanism"):
        context = browser.new_context()
        context.on("request", lambda request: asked.add(request.url))
        page = Page(lab, context, 1300, 900)
        page.page.on("websocket", lambda socket: asked.add(socket.url))
        name = lab.notebook(f"alone-{chapter}", "\n\n".join(panel_cells(CHAPTERS[chapter], first=True)))
        page.open(name)
        page.run_cell(0)
        panel = page.ready(timeout=90_000)
        panel.locator(".rlkit-run").click()
        page.until("document.querySelector('.rlkit-panel').dataset.rlkitState != 'idle'")
        for process in [psutil.Process(lab.process.pid), *psutil.Process(lab.process.pid).children(recursive=True)]:
            talked_to |= {c.raddr.ip for c in process.net_connections("inet") if c.raddr}
        context.close()
    lab.end_kernels()
    own = (lab.url, lab.url.replace("http", "ws"), "data:", "blob:" + lab.url)
    assert asked and [url for url in asked if not url.startswith(own)] == []
    assert talked_to == {"127.0.0.1"}
