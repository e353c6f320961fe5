"""Load the district Hameln-Pyrmont under a name of its own, and write down how its cast signs in."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from common.clock import now, real_now
from common.exceptions import DomainError
from logistics.services import credentials, regions

FOLDER = Path(__file__).parents[2] / "fixtures" / "hameln_pyrmont"


class Command(BaseCommand):
    """Loads everything and writes the file, or does neither."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the region, its size, and where the tokens go."""
        parser.add_argument("--slug", required=True, help="Name of the region; must be new.")
        parser.add_argument(
            "--seed", type=int, required=True, help="The same seed invents the same residents."
        )
        parser.add_argument("--residents", type=_count, required=True, help="How many to invent.")
        parser.add_argument("--days", type=_count, required=True, help="Delivery days that get shifts.")
        parser.add_argument("--first-day", type=date.fromisoformat, required=True, help="YYYY-MM-DD.")
        parser.add_argument(
            "--credentials", type=Path, required=True, help="File to write, for its owner only."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Load the region, and write who is who."""
        try:
            with transaction.atomic():
                loaded = regions.load(
                    folder=FOLDER,
                    slug=options["slug"],
                    seed=options["seed"],
                    first_day=options["first_day"],
                    num_days=options["days"],
                    num_residents=options["residents"],
                    at=now(),
                )
                everyone = credentials.issue(loaded, seed=options["seed"], real_at=real_now())
                write_private(options["credentials"], everyone)
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Loaded {loaded.region.slug}: {len(loaded.supply_points)} supply points, "
            f"{len(loaded.shops)} shops, {len(loaded.residents)} residents."
        )


def write_private(file: Path, content: dict[str, Any]) -> None:
    """Write a file that only its owner may read; nobody ever sees half of it."""
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    draft.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    draft.replace(file)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("must be at least 1")
    return number
