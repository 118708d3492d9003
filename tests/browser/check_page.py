"""Opens a contact sheet in real Chromium and uses it as people do: keys, the copy button, a link, a screen reader's tree, dark and light.

    check_page.py CHROMIUM PAGE EXPECTED PICTURES

EXPECTED is JSON: {"moments": [what each card copies], "urls": [where each card leads], "plays": index of a card whose film this browser
can play, "at": seconds}. Screenshots go into the folder PICTURES. Ends with a message on the first thing that is not as it should be.
Chromium is driven through its DevTools pipe, so that nothing but Python is needed.
"""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

LIMIT_S = 60


class Browser:
    def __init__(self, program, profile):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # The pipes are to be 3 and 4 in Chromium.
        script = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'
        arguments = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
        arguments += ["--disable-background-networking", "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *arguments],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.reader = os.fdopen(ours_in, "rb")
        self.writer = os.fdopen(ours_out, "wb")
        self.buffer = b""
        self.next_id = 0
        self.events = []
        self.session = None

    def read(self):
        while b"\0" not in self.buffer:
            chunk = os.read(self.reader.fileno(), 1 << 16)
            if not chunk:
                raise SystemExit("Chromium has ended")
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)

    def call(self, method, **params):
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.writer.write(json.dumps(message).encode() + b"\0")
        self.writer.flush()
        while True:
            answer = self.read()
            if answer.get("id") == self.next_id:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def run(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise SystemExit(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, what, expression, wanted):
        deadline = time.monotonic() + LIMIT_S
        while (seen := self.run(expression)) != wanted:
            if time.monotonic() > deadline:
                raise SystemExit(f"{what}: {wanted!r} was awaited, and it is {seen!r}")
            time.sleep(0.05)

    def key(self, key, code):
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, text=key if len(key) == 1 else "")
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path):
        shot = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


def same(what, seen, wanted):
    if seen != wanted:
        raise SystemExit(f"{what}: {wanted!r} was awaited, and it is {seen!r}")


def luminance(colour):
    numbers = [int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(numbers) / 3


def contrast(one, other):
    def linear(colour):
        parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    high, low = sorted([linear(one), linear(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def check(browser, page, expected, pictures):
    url = pathlib.Path(page).absolute().as_uri()
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log"):
        browser.call(f"{domain}.enable")
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url=url)
    browser.until("the page", "document.readyState + location.protocol", "completefile:")
    n = len(expected["moments"])

    # What is there, as data: nothing that a name holds became anything else.
    same("cards", browser.run("document.querySelectorAll('.scenes > li').length"), n)
    same("scripts", browser.run("document.scripts.length"), 1)
    same("what cards copy", browser.run("[...document.querySelectorAll('li')].map((li) => li.dataset.moment)"), expected["moments"])
    same("where cards lead", browser.run("[...document.querySelectorAll('li > a')].map((a) => a.getAttribute('href'))"), expected["urls"])
    same("what names did", browser.run("typeof window.pwned"), "undefined")
    browser.until("all pictures", "[...document.images].filter((i) => i.complete && i.naturalWidth > 0).length", n)

    # The policy holds: neither a new script nor another's picture gets in.
    browser.run(
        """new Promise((done) => {
          window.broken = [];
          document.addEventListener('securitypolicyviolation', (e) => window.broken.push(e.effectiveDirective));
          const script = document.createElement('script');
          script.textContent = 'window.pwned = 1';
          document.body.append(script);
          const image = new Image();
          image.onerror = () => done();
          image.src = 'file:///etc/passwd';
          document.body.append(image);
        })"""
    )
    browser.until("violations", "window.broken.sort().join()", "img-src,script-src-elem")
    same("an added script", browser.run("typeof window.pwned"), "undefined")
    browser.run("document.body.lastChild.remove(); document.body.lastChild.remove();")

    # A screen reader's view.
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {}
    for node in tree:
        if not node.get("ignored"):
            roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for landmark in ("banner", "main", "contentinfo", "heading", "status"):
        same(f"landmark {landmark}", len(roles.get(landmark, [])), 1)
    same("pictures with a text", len([name for name in roles.get("image", []) if name.startswith("Scene ")]), n)
    same("links with a name", len([name for name in roles.get("link", []) if name.startswith("Scene ")]), n)
    same("buttons with a name", len({name for name in roles.get("button", []) if name.startswith("Copy path and time of scene ")}), n)
    if len(roles.get("list", [])) != 1 or len(roles.get("listitem", [])) != n:
        raise SystemExit(f"no list of {n}: {sorted(roles)}")

    # Keys.
    at = "[...document.querySelectorAll('li')].findIndex((li) => li.contains(document.activeElement))"
    browser.key("ArrowRight", 39)
    same("the first arrow", browser.run(at), 0)
    for key, code, wanted in [("ArrowRight", 39, 1), ("ArrowLeft", 37, 0), ("ArrowLeft", 37, 0), ("End", 35, n - 1), ("Home", 36, 0)]:
        browser.key(key, code)
        same(f"after {key}", browser.run(at), wanted)
    columns = browser.run("(() => { const t = [...document.querySelectorAll('li')].map((li) => li.offsetTop); return t.filter((x) => x === t[0]).length; })()")
    if n > columns:
        browser.key("ArrowDown", 40)
        same("one row down", browser.run(at), columns)
        browser.key("ArrowUp", 38)
        same("one row up", browser.run(at), 0)
    # The tab key goes from a link to its button to the next link.
    order = []
    for _ in range(3):
        order.append(browser.run("document.activeElement.tagName + " + at))
        browser.key("Tab", 9)
    same("the order of focus", order, ["A0", "BUTTON0", "A1"])

    # Copying, by key and by button, into the real clipboard.
    browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.key("Home", 36)
    browser.key("c", 67)
    browser.until("the clipboard after C", "navigator.clipboard.readText()", expected["moments"][0])
    browser.until("what is said", "document.getElementById('said').textContent", "Copied " + expected["moments"][0])
    browser.run("document.querySelectorAll('button')[1].click()")
    browser.until("the clipboard after a click", "navigator.clipboard.readText()", expected["moments"][1])
    # Where there is no clipboard the old way does, and the focus stays.
    browser.run("Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})")
    browser.run("document.querySelector('li a').focus()")
    browser.key("c", 67)
    browser.until("what is said without a clipboard", "document.getElementById('said').textContent", "Copied " + expected["moments"][0])
    same("focus after copying", browser.run(at), 0)
    browser.run("delete navigator.clipboard")
    browser.until("the clipboard, the old way", "navigator.clipboard.readText()", expected["moments"][0])

    # Dark and light, each with text that can be read (WCAG AA).
    shades = {}
    for scheme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        colour = "getComputedStyle(document.querySelector('%s')).%s"
        paper = browser.run(colour % ("body", "backgroundColor"))
        card = browser.run(colour % (".scenes li", "backgroundColor"))
        shades[scheme] = luminance(paper)
        for selector, ground in [("h1", paper), ("header p", paper), (".time", card), (".folder, .time", card), ("button", card)]:
            ratio = contrast(browser.run(colour % (selector, "color")), ground)
            if ratio < 4.5:
                raise SystemExit(f"{selector} in {scheme}: contrast {ratio:.1f}")
        browser.picture(pictures / f"{scheme}.png")
    if not shades["light"] > 200 > 60 > shades["dark"]:
        raise SystemExit(f"dark and light: {shades}")
    # A narrow window has no sideways scrolling.
    browser.call("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=False)
    browser.until("a narrow window", "document.documentElement.scrollWidth <= 360", True)
    browser.picture(pictures / "narrow.png")

    said = [e["params"]["entry"]["text"] for e in browser.events if e.get("method") == "Log.entryAdded"]
    said = [text for text in said if "Content Security Policy" not in text]
    same("the console", said, [])

    # A link opens the video there.
    if expected.get("plays") is not None:
        browser.run(f"document.querySelectorAll('li > a')[{expected['plays']}].focus()")
        browser.key("Enter", 13)
        browser.until("the film", "document.querySelector('video') !== null && document.querySelector('video').readyState >= 2", True)
        browser.until("its moment", f"document.querySelector('video').currentTime >= {expected['at']} - 0.05", True)


def main():
    program, page, expected, pictures = sys.argv[1:]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            check(browser, page, json.loads(pathlib.Path(expected).read_text()), pathlib.Path(pictures))
        finally:
            browser.process.kill()
            browser.process.wait()
    print("page: as it should be")


main()
