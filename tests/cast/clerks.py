"""Shop clerks: list orders, change a few, cancel a couple, and now and then send a request twice."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from tests.cast.api import Api
from tests.cast.cast import Cast
from tests.cast.orders import OrderWish

#: Of so many orders one is sent twice, one is changed, one is cancelled; of any number at least one.
TWICE_OF, CHANGED_OF, CANCELLED_OF = 20, 60, 100
SECOND_THOUGHT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An order to list, and what else happens to it."""

    wish: OrderWish
    is_sent_twice: bool
    is_changed: bool
    is_cancelled: bool


class Clerk:
    """One shop's clerk."""

    def __init__(self, cast: Cast, shop: Mapping[str, Any], *, cutoff_at: datetime) -> None:
        self._cast = cast
        self._api: Api = cast.signed_in(shop)
        self._cutoff_at = cutoff_at

    async def work(self, tasks: Iterable[Task]) -> None:
        """List a morning's orders, each at its moment."""
        for task in tasks:
            await self._cast.conductor.until(self._cutoff_at - timedelta(minutes=task.wish.listed_minutes))
            order_id = await self._list(task)
            if task.is_changed:
                await self._cast.conductor.until(self._cast.conductor.now() + SECOND_THOUGHT)
                await self._change(order_id, task.wish)
            if task.is_cancelled:
                await self._cast.conductor.until(self._cast.conductor.now() + SECOND_THOUGHT)
                await self._cancel(order_id)

    async def list_late(self, wish: OrderWish, *, expected_pool: str) -> None:
        """List an order after the cut-off; it must join the next pool, and the clerk be told."""
        answer = await self._api.post("orders/", _body(wish), key=str(uuid4()))
        self._cast.world.list_order(answer, card_number=wish.card_number, is_late=True)
        if answer["pool"] != expected_pool:
            self._cast.world.faults.append(f"late order {answer['id']} did not join the next pool")
        if answer["missed_cutoff_at"] is None:
            self._cast.world.faults.append(f"late order {answer['id']}: its clerk was not told")
        self._cast.world.incidents.append("an order a second late joined the next pool")

    async def _list(self, task: Task) -> str:
        if task.is_sent_twice:
            answer, again = await self._api.post_twice("orders/", _body(task.wish))
            if answer != again:
                self._cast.world.faults.append(f"order {answer['id']}: two answers to one request")
        else:
            answer = await self._api.post("orders/", _body(task.wish), key=str(uuid4()))
        self._cast.world.list_order(answer, card_number=task.wish.card_number)
        return str(answer["id"])

    async def _change(self, order_id: str, wish: OrderWish) -> None:
        lighter = [asdict(parcel) | {"weight_g": parcel.weight_g // 2 + 1} for parcel in wish.parcels]
        answer = await self._api.patch(f"orders/{order_id}/", {"parcels": lighter})
        self._cast.world.change_order(answer)

    async def _cancel(self, order_id: str) -> None:
        await self._api.post(f"orders/{order_id}/cancel/")
        self._cast.world.cancel_order(order_id)


def tasks_by_shop(cast: Cast, wishes: Sequence[OrderWish]) -> dict[str, list[Task]]:
    """Give each shop its orders, and decide what happens to which."""
    dice = cast.dice("clerks")
    drawn = {
        share: set(dice.sample(range(len(wishes)), _share_of(len(wishes), share)))
        for share in (TWICE_OF, CHANGED_OF, CANCELLED_OF)
    }
    tasks = defaultdict(list)
    for number, wish in enumerate(wishes):
        tasks[wish.shop].append(
            Task(
                wish=wish,
                is_sent_twice=number in drawn[TWICE_OF],
                is_changed=number in drawn[CHANGED_OF],
                is_cancelled=number in drawn[CANCELLED_OF],
            )
        )
    return tasks


def _share_of(count: int, share: int) -> int:
    return min(count, max(1, count // share))


def _body(wish: OrderWish) -> dict[str, Any]:
    return {
        "shop": wish.shop,
        "resident_card": wish.card_number,
        "parcels": [asdict(parcel) for parcel in wish.parcels],
        "note": wish.note,
    }
