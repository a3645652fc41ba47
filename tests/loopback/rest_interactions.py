"""Answers to interactions: the callback and the webhook that follows it.

https://discord.com/developers/docs/interactions/receiving-and-responding
"""

from tests.loopback import payloads
from tests.loopback.errors import FormErrors, unknown
from tests.loopback.message_rules import check_components, check_message
from tests.loopback.messages import Messages
from tests.loopback.replies import ALLOWED_CALLBACKS, Callback, Interaction, Interactions
from tests.loopback.routing import Call, Router
from tests.loopback.state import Json, Message, World

MAX_CHOICES = 25


class InteractionRoutes:
    """`/interactions/{id}/{token}/callback` and `/webhooks/{application_id}/{token}…`; the token is the authorisation."""

    def __init__(self, world: World, interactions: Interactions, messages: Messages) -> None:
        self._world = world
        self._interactions = interactions
        self._messages = messages

    def register(self, router: Router) -> None:
        """Add the routes."""
        hook = "/webhooks/{application_id}/{token}"
        router.add("POST", "/interactions/{interaction_id}/{token}/callback", self._callback, open=True)
        router.add("POST", hook, self._follow_up, open=True)
        router.add("GET", f"{hook}/messages/{{message}}", self._get, open=True)
        router.add("PATCH", f"{hook}/messages/{{message}}", self._edit, open=True)
        router.add("DELETE", f"{hook}/messages/{{message}}", self._delete, open=True)

    async def _callback(self, call: Call) -> Json | None:
        interaction = self._interactions.to_acknowledge(call.id("interaction_id"), call.params["token"])
        kind = _callback_kind(call.json, interaction)
        self._apply(interaction, kind, call.json.get("data") or {}, call)
        interaction.reply.callback = kind
        if kind not in (Callback.DEFERRED_MESSAGE, Callback.DEFERRED_UPDATE):
            self._answered(interaction)
        interaction.acknowledged.set()
        return self._described(interaction, kind) if call.query.get("with_response") in ("1", "true", "True") else None

    def _apply(self, interaction: Interaction, kind: Callback, data: Json, call: Call) -> None:
        reply = interaction.reply
        if kind is Callback.MESSAGE:
            reply.message = self._new(interaction, data, call)
        elif kind is Callback.DEFERRED_MESSAGE:
            reply.deferred = True
            reply.message = self._messages.defer(
                reply.channel,
                self._world.bot,
                interaction=interaction.metadata,
                application_id=self._world.application_id,
                ephemeral=bool((data.get("flags") or 0) & 1 << 6),
            )
        elif kind is Callback.DEFERRED_UPDATE:
            reply.message = interaction.source
        elif kind is Callback.UPDATE and interaction.source is not None:
            reply.message = self._messages.edit(interaction.source, data, call.files)
            reply.edits.append(data)
        elif kind is Callback.CHOICES:
            reply.choices = _checked_choices(data.get("choices") or [])
        elif kind is Callback.MODAL:
            reply.modal = _checked_modal(data)

    def _described(self, interaction: Interaction, kind: Callback) -> Json:
        message = interaction.reply.message
        about: Json = {"id": str(interaction.id), "type": int(interaction.kind)}
        if message is None:
            return {"interaction": about}
        about |= {
            "response_message_id": str(message.id),
            "response_message_loading": kind is Callback.DEFERRED_MESSAGE,
            "response_message_ephemeral": message.ephemeral,
        }
        return {"interaction": about, "resource": {"type": int(kind), "message": payloads.message(message, self._world)}}

    async def _follow_up(self, call: Call) -> Json:
        interaction = self._interactions.to_follow_up(call.params["token"])
        reply = interaction.reply
        if reply.deferred and not reply.filled and reply.message is not None:
            # Documented: the first follow-up after a deferral fills the waiting message, whose visibility stays.
            check_message(call.json, files=call.files)
            message = self._messages.edit(reply.message, call.json, call.files)
        else:
            message = self._new(interaction, call.json, call)
            reply.followups.append(message)
        self._answered(interaction)
        return payloads.message(message, self._world)

    async def _get(self, call: Call) -> Json:
        _, message = self._named(call)
        return payloads.message(message, self._world)

    async def _edit(self, call: Call) -> Json:
        interaction, message = self._named(call)
        self._messages.edit(message, call.json, call.files)
        if message is interaction.reply.message:
            interaction.reply.edits.append(call.json)
            self._answered(interaction)
        return payloads.message(message, self._world)

    async def _delete(self, call: Call) -> None:
        interaction, message = self._named(call)
        self._messages.delete(message)
        self._answered(interaction)

    def _named(self, call: Call) -> tuple[Interaction, Message]:
        interaction = self._interactions.to_follow_up(call.params["token"])
        known = [interaction.reply.message, *interaction.reply.followups]
        wanted = known[:1] if call.params["message"] == "@original" else known
        for message in wanted:
            if message is not None and not message.deleted and call.params["message"] in ("@original", str(message.id)):
                return interaction, message
        raise unknown("message")

    def _new(self, interaction: Interaction, body: Json, call: Call) -> Message:
        return self._messages.send(
            interaction.reply.channel,
            self._world.bot,
            body,
            call.files,
            interaction=interaction.metadata,
            application_id=self._world.application_id,
        )

    @staticmethod
    def _answered(interaction: Interaction) -> None:
        interaction.reply.filled = True
        interaction.answered.set()


def _callback_kind(body: Json, interaction: Interaction) -> Callback:
    errors = FormErrors()
    if body.get("type") not in ALLOWED_CALLBACKS[interaction.kind]:
        errors.add("type", "INTERACTION_RESPONSE_TYPE_INVALID", "This response type cannot be used for this interaction.")
    errors.check()
    return Callback(body["type"])


def _checked_choices(choices: list[Json]) -> list[Json]:
    errors = FormErrors()
    if len(choices) > MAX_CHOICES:
        errors.add("data.choices", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_CHOICES} or fewer in length.")
    for index, choice in enumerate(choices):
        errors.length(f"data.choices.{index}.name", choice.get("name"), 1, 100)
        errors.length(f"data.choices.{index}.value", choice.get("value"), 1, 100)
    errors.check()
    return choices


def _checked_modal(modal: Json) -> Json:
    errors = FormErrors()
    errors.length("data.title", modal.get("title"), 1, 45)
    errors.length("data.custom_id", modal.get("custom_id"), 1, 100)
    errors.length("data.components", modal.get("components") or [], 1, 5)
    check_components(errors, modal.get("components") or [], {"flags": 1 << 15})
    errors.check()
    return modal
