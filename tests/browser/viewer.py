"""The viewer as a person has it: a page, its planes, its panel."""

import io
import json
from typing import Any

import numpy as np
import requests
from PIL import Image

PLANES = ("segpet-axial", "segpet-coronal", "segpet-sagittal")
#: Milliseconds; a machine that draws in software and is busy is slow.
PATIENCE = 150_000
#: Small: every pixel of the planes is drawn in software.
SIZE = {"width": 1024, "height": 640}

_OHIF = "await import('/segpet/viewer/ohif.js')"
_STATE = "(await import('/segpet/viewer/state.js')).state"


def hottest(phantom, lesion: int = 1) -> list[float]:
    """Return the point (LPS mm) of a lesion's hottest voxel."""
    values = np.where(phantom.lesions == lesion, phantom.volume.array, -1)
    index = np.unravel_index(np.argmax(values), values.shape)
    x, y, z = (phantom.volume.affine @ [*index, 1])[:3]
    return [-x, -y, z]


class Viewer:
    """A browser context of its own, that is a client of its own.

    Args:
        browser: Playwright's.
        server: with the attribute `url`.
        context: further options of the context.
    """

    def __init__(self, browser: Any, server: Any, **context: Any) -> None:
        self.url = server.url
        self._context = browser.new_context(**{"viewport": SIZE, **context})
        self._context.set_default_timeout(PATIENCE)
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.page = self._context.new_page()
        self.page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._look_at)

    def _look_at(self, request: Any) -> None:
        if not request.url.startswith((f"{self.url}/", f"blob:{self.url}/", "data:", "blob:null")):
            self.elsewhere.append(request.url)

    def close(self) -> None:
        """Close the browser context."""
        self._context.close()

    # Opening

    def study(self, title: str) -> dict[str, Any]:
        """Return what the work list of the server says of a study."""
        studies = requests.get(f"{self.url}/segpet/studies", timeout=30).json()["studies"]
        return next(study for study in studies if study["title"] == title)

    def open(self, title: str, phase: str = "ready") -> "Viewer":
        """Open a study in our mode and wait until all of it is there."""
        self.page.goto(f"{self.url}/segpet?StudyInstanceUIDs={self.study(title)['study_uid']}")
        return self.loaded(phase)

    def loaded(self, phase: str = "ready") -> "Viewer":
        """Wait until the study's panel is in a phase and its images have come."""
        self.page.wait_for_selector(f".segpet-panel[data-phase={phase}]")
        self.page.wait_for_function(
            f"""async planes => {{
                const {{ libraries, viewportOf }} = {_OHIF};
                return planes.every(id => viewportOf(id)?.getAllVolumeIds().length
                    && viewportOf(id).getAllVolumeIds().every(volume => volume.startsWith('segpet')
                        || libraries().cornerstone.cache.getVolume(volume)?.loadStatus?.loaded !== false));
            }}""",
            arg=list(PLANES),
        )
        self.painted()
        return self

    # What is shown

    def state(self) -> dict[str, Any]:
        """Return the panel's state: study, head, selected and so on."""
        return json.loads(self.page.evaluate(f"async () => JSON.stringify({_STATE})"))

    def objects(self) -> list[dict[str, Any]]:
        """Return the objects of the session."""
        return self.state()["head"]["objects"]

    def table(self) -> list[dict[str, float]]:
        """Return the numbers of the table's rows, unrounded."""
        rows = self.page.query_selector_all(".segpet-objects tr[data-number]")
        return [
            {
                cell.get_attribute("data-key"): float(cell.get_attribute("data-value"))
                for cell in row.query_selector_all("td[data-key]")
            }
            for row in rows
        ]

    def said(self, name: str) -> str:
        """Return the text of a part of the panel, by its data-test."""
        return self.page.inner_text(f"[data-test={name}]")

    def painted(self) -> None:
        """Wait until nothing is being drawn any more."""
        self.page.evaluate(
            f"""async planes => {{
                const {{ viewportOf }} = {_OHIF};
                const {{ nextPaint }} = await import('/segpet/viewer/planes.js');
                const painted = nextPaint();
                planes.forEach(id => viewportOf(id).render());
                await painted;
                await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
            }}""",
            list(PLANES),
        )

    def show(self, point: list[float]) -> None:
        """Bring a point (LPS mm) into view in all planes, as a click in the table does."""
        self.page.evaluate("async point => (await import('/segpet/viewer/planes.js')).jumpTo(point)", point)
        self.painted()

    def place(self, point: list[float], plane: str) -> tuple[float, float]:
        """Return where on the page a point lies in a plane."""
        x, y = self.page.evaluate(
            f"""async ([point, plane]) => {{
                const viewport = ({_OHIF}).viewportOf(plane);
                const [x, y] = viewport.worldToCanvas(point);
                const box = viewport.canvas.getBoundingClientRect();
                return [x + box.x, y + box.y];
            }}""",
            [point, plane],
        )
        return x, y

    def colored(self, plane: str, color: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return which pixels of a plane have an object's colour over the greys, and each pixel's point.

        Returns:
            bool [row, column], and LPS mm [row, column, 3].
        """
        box = self.page.evaluate(
            f"""async plane => {{
                const {{ canvas }} = ({_OHIF}).viewportOf(plane);
                const {{ x, y, width, height }} = canvas.getBoundingClientRect();
                return {{ x, y, width, height }};
            }}""",
            plane,
        )
        corners = self.page.evaluate(
            f"""async plane => {{
                const viewport = ({_OHIF}).viewportOf(plane);
                return [[0, 0], [1, 0], [0, 1]].map(at => [...viewport.canvasToWorld(at)]);
            }}""",
            plane,
        )
        image = Image.open(io.BytesIO(self.page.screenshot(clip=box))).convert("RGB")
        pixels = np.asarray(image, float)
        own = np.asarray(color, float) - np.mean(color)
        shade = pixels - pixels.mean(axis=2, keepdims=True)
        share = shade @ own / (own @ own)
        rest = np.linalg.norm(shade - share[..., None] * own, axis=2)
        rows, columns = np.indices(share.shape)
        first, right, down = (np.asarray(corner) for corner in corners)
        # A pixel's middle is half a pixel from its corner; a canvas may begin inside of a pixel.
        across, along = columns + 0.5 + box["x"] % 1, rows + 0.5 + box["y"] % 1
        points = first + across[..., None] * (right - first) + along[..., None] * (down - first)
        return (share > 0.12) & (rest < 40), points

    # What a person does

    def press(self, keys: str) -> "Viewer":
        """Press keys that ask the server for something, and wait for the answer."""
        return self._answered(lambda: self.page.keyboard.press(keys))

    def push(self, name: str) -> "Viewer":
        """Push a button of the panel by its data-test, and wait for the server's answer."""
        return self._answered(lambda: self.page.click(f"[data-test={name}]"))

    def emptied(self) -> "Viewer":
        """Delete all objects, where another test left a label."""
        if self.objects():
            self._answered(
                lambda: self.page.evaluate("async () => (await import('/segpet/viewer/actions.js')).clear()")
            )
        return self

    def click(self, point: list[float], plane: str = PLANES[0]) -> "Viewer":
        """Click at a point that the plane shows, and wait for the answer."""
        return self._answered(lambda: self.page.mouse.click(*self.place(point, plane)))

    def stroke(
        self, start: list[float], end: list[float], plane: str = PLANES[0], held: float = 0
    ) -> "Viewer":
        """Draw with the brush or the eraser, `held` ms at its end, and wait for the answer."""

        def draw() -> None:
            self.page.mouse.move(*self.place(start, plane))
            self.page.mouse.down()
            self.page.mouse.move(*self.place(end, plane), steps=5)
            self.page.wait_for_timeout(held)
            self.page.mouse.up()

        return self._answered(draw)

    def _answered(self, act: Any) -> "Viewer":
        """Do something; wait until the server has answered, once it was asked, and the planes are drawn."""
        asked = self.page.evaluate("() => performance.getEntriesByName('segpet.done').length")
        act()
        self.page.wait_for_function(
            "asked => performance.getEntriesByName('segpet.done').length > asked"
            " && document.querySelector('.segpet-panel')?.dataset.running === ''",
            arg=asked,
        )
        self.painted()
        return self
