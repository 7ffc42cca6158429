"""Send a run's result to your server, signed as in Standard Webhooks 1.0; its libraries can verify
it.

Source: https://github.com/standard-webhooks/standard-webhooks, spec 1.0.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx

from storyreel.errors import ApiError
from storyreel.workspace.settings import Settings

TRIES = 3
TIMEOUT_S = 10.0


async def send(settings: Settings, kind: str, data: dict[str, Any], event_id: str) -> None:
    """POST the event to STORYREEL_WEBHOOK_URL; do nothing if it is not set. `event_id` is the same
    for each try.

    Raises:
        ApiError: three tries failed.
    """
    if not settings.webhook_url:
        return
    now = int(time.time())
    body = json.dumps({"type": kind, "timestamp": now, "data": data}, ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(now),
    }
    if settings.webhook_secret:
        headers["webhook-signature"] = sign(
            settings.webhook_secret.get_secret_value(), event_id, now, body
        )
    problem = ""
    async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(2.0**attempt)
            try:
                answer = await client.post(settings.webhook_url, content=body, headers=headers)
                if answer.is_success:
                    return
                problem = f"answers {answer.status_code}"
            except httpx.HTTPError as error:
                problem = type(error).__name__
    raise ApiError(
        f"the webhook did not take `{kind}`: {problem}", fix="check STORYREEL_WEBHOOK_URL"
    )


def sign(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` header. `secret` is `whsec_` and base64, or any text."""
    key = (
        base64.b64decode(secret.removeprefix("whsec_"))
        if secret.startswith("whsec_")
        else secret.encode()
    )
    signed = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"
