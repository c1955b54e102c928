"""The page on which a browser signs in, English or Chinese, without a script."""

import base64
import hashlib
from html import escape

from starlette.responses import HTMLResponse

_STYLE = """
body { margin: 0; min-height: 100vh; display: grid; place-items: center; color: #f2f4ff; background: #050717;
  font: 15px/1.5 Inter, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", system-ui, sans-serif; }
form { width: 20rem; padding: 1.5rem; display: grid; gap: .8rem; border-radius: 8px; background: #0d1130; }
h1 { margin: 0; font-size: 1.15rem; } p { margin: 0; color: #aab3d6; font-size: .85rem; }
p[role=alert] { padding: .4rem .6rem; border-left: 3px solid #e5484d; color: #fff; background: #3a1216; }
input, button { font: inherit; padding: .5rem .6rem; border-radius: 5px; border: 1px solid #3a4274; }
input { color: inherit; background: #050717; } button { color: #fff; background: #2563eb; cursor: pointer; }
:focus-visible { outline: 2px solid #7da7ff; outline-offset: 1px; }
"""
_POLICY = "; ".join((
    "default-src 'none'",
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
))  # fmt: skip
_TEXTS = {
    "en": {
        "title": "Sign in to SegPET",
        "token": "Token",
        "hint": "Whoever runs this server gives you one. Signed in until you sign out, at most 12 hours.",
        "go": "Sign in",
        "wrong": "No user has this token.",
        "wait": "Too many attempts failed: try again in {seconds} s.",
    },
    "zh": {
        "title": "登录 SegPET",
        "token": "令牌",
        "hint": "请向本服务器的管理员索取。登录在退出前有效，最长 12 小时。",
        "go": "登录",
        "wrong": "没有用户使用此令牌。",
        "wait": "失败次数过多，请在 {seconds} 秒后重试。",
    },
}


def language_of(accepted: str) -> str:
    """Return the page's language for the header Accept-Language."""
    return "zh" if accepted.strip().lower().startswith("zh") else "en"


def sign_in_page(
    accepted: str, onward: str, fault: str = "", seconds: int = 0, status: int = 401
) -> HTMLResponse:
    """Return the page.

    Args:
        accepted: the header Accept-Language.
        onward: the address that is opened afterwards, on this server.
        fault: `wrong`, `wait`, or "".
        seconds: to wait.
        status: of the reply.
    """
    language = language_of(accepted)
    text = _TEXTS[language]
    alert = f'<p role="alert">{text[fault].format(seconds=seconds)}</p>' if fault else ""
    page = f"""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{text["title"]}</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>
<body><form method="post" action="/sign-in"><h1>{text["title"]}</h1>{alert}
<label for="token">{text["token"]}</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input name="onward" type="hidden" value="{escape(onward)}">
<button>{text["go"]}</button><p>{text["hint"]}</p></form></body></html>
"""
    headers = {
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "same-origin",  # without a referrer, browsers hide a form's origin too
        "WWW-Authenticate": "Bearer",
    }
    if seconds:
        headers["Retry-After"] = str(seconds)
    return HTMLResponse(page, status, headers)
