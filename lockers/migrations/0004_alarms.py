import uuid

import django.db.models.deletion
from django.db import migrations, models

DOOR_KINDS = ["jammed", "left_open", "uncommanded_open"]
ZONES = [("ambient", "ambient"), ("chilled", "chilled"), ("frozen", "frozen")]


class Migration(migrations.Migration):
    dependencies = [("lockers", "0003_device_transport")]

    operations = [
        migrations.AddField(
            model_name="compartment",
            name="has_alarm",
            field=models.BooleanField(
                default=False, help_text="An alarm about this door is open; spares ordinary doors the look."
            ),
        ),
        migrations.CreateModel(
            name="Alarm",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "locker",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="alarms",
                        to="lockers.locker",
                    ),
                ),
                (
                    "compartment",
                    models.ForeignKey(
                        help_text="The door that it is about; nothing if it is about the cabinet.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="alarms",
                        to="lockers.compartment",
                    ),
                ),
                (
                    "device",
                    models.ForeignKey(
                        help_text="What said so, or fell silent.",
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="alarms",
                        to="lockers.device",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("offline", "Offline"),
                            ("left_open", "Left Open"),
                            ("uncommanded_open", "Uncommanded Open"),
                            ("jammed", "Jammed"),
                            ("tamper", "Tamper"),
                            ("temperature", "Temperature"),
                            ("low_battery", "Low Battery"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "zone",
                    models.CharField(
                        blank=True, choices=ZONES, help_text="Where the temperature is wrong.", max_length=8
                    ),
                ),
                (
                    "level",
                    models.CharField(
                        choices=[("notice", "Notice"), ("alert", "Alert"), ("dispatcher", "Dispatcher")],
                        help_text="Who has to act.",
                        max_length=10,
                    ),
                ),
                (
                    "facts",
                    models.JSONField(default=dict, help_text="Numbers and identifiers, never personal data."),
                ),
                ("raised_at", models.DateTimeField(help_text="Real time.")),
                (
                    "escalated_at",
                    models.DateTimeField(help_text="When its level last rose; real time.", null=True),
                ),
                (
                    "ended_at",
                    models.DateTimeField(help_text="When its cause was over; real time.", null=True),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at", None)),
                        fields=["raised_at"],
                        name="open_alarm_by_age",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("compartment", "kind"),
                        name="one_open_alarm_per_door_and_kind",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("compartment", None), ("ended_at", None)),
                        fields=("locker", "kind", "zone"),
                        name="one_open_alarm_per_cabinet_and_kind",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("compartment__isnull", False), ("kind__in", DOOR_KINDS)),
                            models.Q(
                                models.Q(("kind__in", DOOR_KINDS), _negated=True), ("compartment", None)
                            ),
                            _connector="OR",
                        ),
                        name="alarm_is_about_a_door_or_the_cabinet",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "temperature"), models.Q(("zone", ""), _negated=True)),
                            models.Q(models.Q(("kind", "temperature"), _negated=True), ("zone", "")),
                            _connector="OR",
                        ),
                        name="only_a_temperature_has_a_zone",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ZoneReading",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "locker",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="readings",
                        to="lockers.locker",
                    ),
                ),
                ("zone", models.CharField(choices=ZONES, max_length=8)),
                ("celsius_tenths", models.SmallIntegerField()),
                (
                    "read_at",
                    models.DateTimeField(help_text="When the report was received; real time."),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("locker", "zone"), name="one_reading_per_zone")
                ],
            },
        ),
    ]
