"""What every request passes before anything is done for it, and every answer on its way back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from softadastra.dashboard.origins import Origins
from softadastra.dashboard.refusals import Reason, RefusedError, refusal_of
from softadastra.dashboard.tokens import Token
from softadastra.errors import SoftadastraError

__all__ = ["SECURITY_HEADERS", "TRUSTED", "Gate"]

SECURITY_HEADERS: Final = {
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""Nothing from elsewhere, nothing inline, no text that becomes HTML, no frame around it, and no
address of it told to anybody (W3C CSP level 3, Trusted Types)."""


TRUSTED: Final = "softadastra.trusted"
"""Where a request says whether it has the token."""


class Gate:
    """Lets requests through that may be done; all others are told why not.

    Args:
        app: what does them.
        origins: the names and pages that are answered.
        token: the secret.
        public: paths that need no token.
        fault: told the path and what a bug raised.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        origins: Origins,
        token: Token,
        public: Collection[str],
        fault: Callable[[str, Exception], None],
    ) -> None:
        self._app = app
        self._origins = origins
        self._token = token
        self._public = frozenset(public)
        self._fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do one request."""
        has_begun = False

        async def answer(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, answer)
        except Exception as error:
            if has_begun:
                # Half of an answer cannot be taken back; uvicorn cuts the connection.
                self._note(scope, error)
                return
            await refusal_response(self._refusal(scope, error))(scope, receive, answer)

    def _check(self, scope: Scope) -> None:
        """Refuse what may not be done.

        Raises:
            RefusedError: the reason.
        """
        headers = Headers(scope=scope)
        self._origins.check_host(headers)
        scope[TRUSTED] = self._token.opens(headers.get("authorization", ""))
        if scope["path"] in self._public and scope["method"] in ("GET", "HEAD"):
            return
        self._origins.check_origin(headers)
        if not scope[TRUSTED]:
            raise RefusedError(
                Reason.UNAUTHORIZED,
                "the dashboard's token is missing or wrong: open the address that the node printed"
                " when it started",
            )

    def _refusal(self, scope: Scope, error: Exception) -> RefusedError:
        match error:
            case RefusedError():
                return error
            case SoftadastraError():
                return refusal_of(error)
            case _:
                self._note(scope, error)
                return RefusedError(
                    Reason.FAULT, "a bug of the dashboard: see the event dashboard.faulted"
                )

    def _note(self, scope: Scope, error: Exception) -> None:
        if not isinstance(error, RefusedError | SoftadastraError):
            self._fault(str(scope["path"]), error)


def refusal_response(refusal: RefusedError) -> JSONResponse:
    """Tell a refusal."""
    headers = {"www-authenticate": "Bearer"} if refusal.reason is Reason.UNAUTHORIZED else None
    document = {"error": {"reason": refusal.reason.value, "message": refusal.words}}
    return JSONResponse(document, status_code=refusal.status, headers=headers)
