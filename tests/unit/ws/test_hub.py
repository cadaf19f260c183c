"""The hub: who hears what, encoded once."""

from __future__ import annotations

import msgspec

from app.contract.frames import TickEvent
from app.routing.session_key import in_scope
from app.ws.hub import Hub


class Ear:
    """A connection that notes what it is sent."""

    def __init__(self, *, reads: bool = True, subscribed: bool = False, scope: str = "") -> None:
        self.heard: list[tuple[str, msgspec.Struct | msgspec.Raw]] = []
        self.subscribed = subscribed
        self.rechecked = 0
        self._reads = reads
        self._scope = scope

    def sees(self, session_key: str) -> bool:
        """Tell whether it is one of its API key's, if it has one."""
        return in_scope(session_key, self._scope)

    def may(self, scope: str) -> bool:
        """Tell whether it may."""
        return self._reads and scope == "operator.read"

    def recheck(self) -> None:
        """Be asked whether its key is still one."""
        self.rechecked += 1

    def event(self, name: str, payload: msgspec.Struct | msgspec.Raw) -> None:
        """Be sent an event."""
        self.heard.append((name, payload))


def hub_of(*members: Ear) -> Hub:
    """Return a hub with these members."""
    hub = Hub()
    for member in members:
        hub.join(member)
    return hub


def test_an_event_is_encoded_once_for_all() -> None:
    """Everybody who may read gets the same bytes, not a copy each."""
    ears = [Ear() for _ in range(3)]
    deaf = Ear(reads=False)
    hub_of(*ears, deaf).broadcast("tick", TickEvent(ts=7), "agent:main:a")
    payloads = [payload for ear in ears for _, payload in ear.heard]

    assert 3 == len(payloads)
    assert 1 == len({id(payload) for payload in payloads})
    assert isinstance(payloads[0], msgspec.Raw)
    assert {"ts": 7} == msgspec.json.decode(payloads[0])
    assert [] == deaf.heard


def test_changes_are_for_those_who_asked() -> None:
    """And may read; the shutdown is for everybody."""
    one, other, deaf = Ear(subscribed=True), Ear(), Ear(reads=False, subscribed=True)
    hub = hub_of(one, other, deaf)
    hub.session_changed("agent:main:a", "main", "update")
    hub.announce_shutdown()

    assert [["sessions.changed", "shutdown"], ["shutdown"], ["shutdown"]] == [
        [name for name, _ in ear.heard] for ear in (one, other, deaf)
    ]


def test_what_is_of_an_api_key_only_that_key_and_the_operator_hear() -> None:
    """Events of runs and changes of sessions; of the operator's own sessions no key hears."""
    operator, one, other = Ear(subscribed=True), Ear(subscribed=True, scope="a"), Ear(subscribed=True, scope="ab")
    hub = hub_of(operator, one, other)
    for key in ("agent:main:api-key:a:x", "agent:main:api-key:ab:x", "agent:main:x", "agent:main:xapi-key:a:"):
        hub.broadcast("chat", TickEvent(ts=7), key)
        hub.session_changed(key, "main", "update")

    assert [8, 2, 2] == [len(ear.heard) for ear in (operator, one, other)]
