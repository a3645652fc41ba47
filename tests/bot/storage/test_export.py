"""What a member gets to see of what is stored about them, on SQLite and on PostgreSQL."""

import json

from bot.storage.alerts import SqlAlertStore
from bot.storage.consent import SqlConsentStore
from bot.storage.database import Database
from bot.storage.export import SqlExport
from bot.storage.notices import SqlNoticeMentions
from bot.storage.sessions import SqlSessionStore
from moderation.consent import Choice
from moderation.models import Coverage, Speaker
from tests.bot.storage.values import ADA, BEN, GUILD, NOON, alert, segment, session, verdict


async def test_it_is_all_about_the_member_and_nothing_about_others_in_pages(database: Database) -> None:
    rows, alerts, consent = SqlSessionStore(database), SqlAlertStore(database), SqlConsentStore(database)
    await consent.save_choice(Choice(GUILD, ADA, heard=True, chosen_at=NOON))
    for n in range(3):
        await rows.add_segment(session(), segment(ADA, n, text=f"mine {n}"), verdict())
    await rows.add_segment(session(), segment(BEN, text="not mine"), verdict())
    await rows.end_session(session(), NOON, "stopped", [Coverage(Speaker(u), 1.0, 1.0) for u in (ADA, BEN)])
    await alerts.save_alert(alert(session(), segment(ADA), context=[segment(BEN)]), 1)
    await alerts.save_alert(alert(session(), segment(BEN), context=[segment(ADA)]), 2)
    await SqlNoticeMentions(database).name(GUILD, 3, {ADA, BEN}, NOON)
    export = SqlExport(database, page=2)
    first, second = await export.export(ADA, 1), await export.export(ADA, 2)
    assert (first.more, second.more) == (True, False)
    assert [row["text"] for page in (first, second) for row in page.data["transcript"]] == ["mine 0", "mine 1", "mine 2"]
    counts = {name: len(found) + len(second.data[name]) for name, found in first.data.items()}
    assert counts == {
        "choices": 1,
        "transcript": 3,
        "flags": 3,
        "alerts_about_you": 1,
        "quoted_in_alerts": 1,
        "alerts_under_way": 0,
        "webhooks_under_way": 0,
        "heard": 1,
        "named_in_notices": 1,
    }
    text = json.dumps([first.data, second.data])
    assert str(ADA) in text
    assert str(BEN) not in text
    assert "not mine" not in text
