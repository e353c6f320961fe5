"""The Celery app: hints in Redis, truth in the database."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import task_prerun, worker_ready
from django.conf import settings
from django.db import close_old_connections

from config import memory

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")

app = Celery("dorfbote")
app.conf.update(
    broker_url=settings.REDIS_URL,
    # No row waits for a message: what is lost is handed out again by the relay. The time-outs keep a
    # Redis that hangs from blocking a publisher, and the visibility timeout exceeds the longest task.
    broker_transport_options={
        "visibility_timeout": 900,
        "socket_timeout": 5,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "global_keyprefix": "dorfbote:",
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    result_backend=None,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_publish_retry=False,
    task_default_queue="housekeeping",
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
    # Celery would close the database's connection around every task, and PostgreSQL start a process for
    # the next one; Django itself knows how old a connection may get, and whether it still works.
    CELERY_DB_REUSE_MAX=sys.maxsize,
    timezone="Europe/Berlin",
    enable_utc=True,
    beat_schedule={
        name: {
            "task": name,
            "schedule": settings.SWEEP_INTERVAL_S,
            "options": {"expires": 4 * settings.SWEEP_INTERVAL_S},
        }
        for name in ("logistics.sweep", "lockers.sweep")
    }
    | {
        name: {"task": name, "schedule": 3600.0, "options": {"expires": 3600}}
        for name in ("common.purge", "lockers.purge")
    },
)
app.autodiscover_tasks()


@task_prerun.connect
def _renew_connections(**_: Any) -> None:
    close_old_connections()


@worker_ready.connect
def _settle(**_: Any) -> None:
    memory.settle()
