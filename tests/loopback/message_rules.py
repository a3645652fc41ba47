"""What Discord accepts as a message, and the errors it gives otherwise.

Limits: https://discord.com/developers/docs/resources/message#embed-object-embed-limits and #create-message,
components: https://discord.com/developers/docs/components/reference.
"""

from collections.abc import Iterator
from typing import Any

from tests.loopback.errors import ApiError, FormErrors
from tests.loopback.state import Json

MAX_CONTENT = 2000
MAX_EMBEDS = 10
MAX_EMBED_TOTAL = 6000
MAX_FIELDS = 25
MAX_NONCE = 25
MAX_FILE_BYTES = 10 * 1024 * 1024  # of a server without boosts
COMPONENTS_V2 = 1 << 15  # message flag

MAX_DISPLAYED = 4000  # characters of all text display components of a message

ACTION_ROW, BUTTON, STRING_SELECT, TEXT_DISPLAY = 1, 2, 3, 10
SELECTS = frozenset({3, 5, 6, 7, 8})
LINK_STYLE, PREMIUM_STYLE = 5, 6


def check_message(body: Json, *, files: dict[int, Any], keeps: bool = False) -> None:
    """Raise `ApiError` when Discord would refuse this body. `keeps`: an edit, whose absent fields keep what was there."""
    errors = FormErrors()
    errors.max_length("content", body.get("content"), MAX_CONTENT)
    nonce = body.get("nonce")
    errors.max_length("nonce", str(nonce) if nonce is not None else None, MAX_NONCE)
    embeds = body.get("embeds") or []
    errors.length("embeds", embeds, 0, MAX_EMBEDS)
    for index, embed in enumerate(embeds):
        _check_embed(errors, f"embeds.{index}", embed)
    if sum(embed_length(embed) for embed in embeds) > MAX_EMBED_TOTAL:
        errors.add("embeds", "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {MAX_EMBED_TOTAL}")
    _check_attachments(errors, body.get("attachments") or [], files)
    _check_mentions(errors, body.get("allowed_mentions"))
    check_components(errors, body.get("components") or [], body)
    errors.check()
    for upload in files.values():
        if len(upload.data) > MAX_FILE_BYTES:
            raise ApiError(413, 40005, "Request entity too large")
    filled = (body.get("content"), embeds, body.get("components"), body.get("sticker_ids"), body.get("poll"), files)
    if not keeps and not any(filled):
        raise ApiError(400, 50006, "Cannot send an empty message")


def embed_length(embed: Json) -> int:
    """Characters that count towards the 6000 of all embeds together."""
    texts = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text"), (embed.get("author") or {}).get("name")]
    for item in embed.get("fields") or []:
        texts += [item.get("name"), item.get("value")]
    return sum(len(text) for text in texts if isinstance(text, str))


def _check_embed(errors: FormErrors, path: str, embed: Json) -> None:
    errors.max_length(f"{path}.title", embed.get("title"), 256)
    errors.max_length(f"{path}.description", embed.get("description"), 4096)
    errors.max_length(f"{path}.footer.text", (embed.get("footer") or {}).get("text"), 2048)
    errors.max_length(f"{path}.author.name", (embed.get("author") or {}).get("name"), 256)
    fields = embed.get("fields") or []
    if len(fields) > MAX_FIELDS:
        errors.add(f"{path}.fields", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_FIELDS} or fewer in length.")
    for index, item in enumerate(fields):
        for key, limit in (("name", 256), ("value", 1024)):
            errors.required(f"{path}.fields.{index}.{key}", item.get(key))
            errors.max_length(f"{path}.fields.{index}.{key}", item.get(key), limit)
    color = embed.get("color")
    if color is not None and not 0 <= color <= 0xFFFFFF:
        errors.add(f"{path}.color", "NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215.")
    _check_url(errors, f"{path}.url", embed.get("url"))
    for key in ("image", "thumbnail"):
        _check_url(errors, f"{path}.{key}.url", (embed.get(key) or {}).get("url"))


def _check_url(errors: FormErrors, path: str, url: str | None) -> None:
    if url is not None and not url.startswith(("http://", "https://", "attachment://")):
        errors.add(path, "URL_TYPE_INVALID_SCHEME", f'Scheme "{url.partition(":")[0]}" is not supported.')


def _check_attachments(errors: FormErrors, attachments: list[Json], files: dict[int, Any]) -> None:
    errors.length("attachments", attachments, 0, 10)
    for index, item in enumerate(attachments):
        errors.max_length(f"attachments.{index}.description", item.get("description"), 1024)
        # A small id names a part of this request, a snowflake an attachment that is already there.
        if int(item.get("id", index)) < 100 and int(item.get("id", index)) not in files:
            errors.add(f"attachments.{index}.id", "ATTACHMENT_NOT_FOUND", "The attachment was not found.")


def _check_mentions(errors: FormErrors, allowed: Json | None) -> None:
    if allowed is None:
        return
    for kind in ("users", "roles"):
        listed = allowed.get(kind)
        if isinstance(listed, list) and listed and kind in (allowed.get("parse") or ()):
            code = "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
            errors.add("allowed_mentions", code, f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.')


def walk(components: list[Json]) -> Iterator[Json]:
    """Every component of a message or modal, however deep."""
    for component in components:
        yield component
        yield from walk(component.get("components") or [])
        for key in ("accessory", "component"):
            if isinstance(component.get(key), dict):
                yield from walk([component[key]])


def check_components(errors: FormErrors, components: list[Json], body: Json) -> None:
    """Refuse what Discord's component rules refuse."""
    new_style = bool((body.get("flags") or 0) & COMPONENTS_V2)
    if new_style and (body.get("content") or body.get("embeds")):
        errors.add("content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", "This field cannot be used with components v2.")
    if new_style and sum(1 for _ in walk(components)) > 40:
        errors.add("components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", "The total number of components exceeds 40.")
    if not new_style:
        errors.length("components", components, 0, 5)
    shown = sum(len(item.get("content") or "") for item in walk(components) if item.get("type") == TEXT_DISPLAY)
    if shown > MAX_DISPLAYED:
        errors.add("components", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_DISPLAYED} or fewer in length.")
    for index, row in enumerate(components):
        if row.get("type") == ACTION_ROW:
            errors.length(f"components.{index}.components", row.get("components") or [], 1, 5)
        elif not new_style:
            errors.add(f"components.{index}.type", "UNION_TYPE_CHOICES", "Value of field 'type' must be one of (1,).")
    _check_leaves(errors, components)


def _check_leaves(errors: FormErrors, components: list[Json]) -> None:
    seen: set[str] = set()
    for number, item in enumerate(walk(components)):
        path = f"components.{number}"
        custom_id = item.get("custom_id")
        errors.length(f"{path}.custom_id", custom_id, 1, 100)
        if custom_id is not None and custom_id in seen:
            errors.add(path, "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
        seen.update([custom_id] if custom_id else [])
        if item.get("type") == BUTTON:
            errors.max_length(f"{path}.label", item.get("label"), 80)
            errors.required(f"{path}.label", item.get("label") or item.get("emoji") or item.get("sku_id"))
            if item.get("style") not in (LINK_STYLE, PREMIUM_STYLE):
                errors.required(f"{path}.custom_id", custom_id)
        elif item.get("type") in SELECTS:
            errors.required(f"{path}.custom_id", custom_id)
            errors.max_length(f"{path}.placeholder", item.get("placeholder"), 150)
            if item.get("type") == STRING_SELECT:
                errors.length(f"{path}.options", item.get("options") or [], 1, 25)
