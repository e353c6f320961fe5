from django.db import migrations, models
from django.db.models import Q
from django.utils import timezone

OUT_OF_USE = ["needs_check", "out_of_service"]


def explain_what_is_out_of_use(apps, schema_editor):
    compartments = apps.get_model("lockers", "Compartment").objects.filter(state__in=OUT_OF_USE)
    compartments.update(trouble="unknown", trouble_since=timezone.now())


class Migration(migrations.Migration):
    dependencies = [
        ("lockers", "0007_offline_codes"),
    ]

    operations = [
        migrations.AddField(
            model_name="compartment",
            name="trouble",
            field=models.CharField(blank=True, help_text="Why it is out of use, as a code.", max_length=30),
        ),
        migrations.AddField(
            model_name="compartment",
            name="trouble_note",
            field=models.CharField(blank=True, help_text="What an operator wrote about it.", max_length=200),
        ),
        migrations.AddField(
            model_name="compartment",
            name="trouble_since",
            field=models.DateTimeField(help_text="Business time.", null=True),
        ),
        migrations.RunPython(explain_what_is_out_of_use, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="compartment",
            constraint=models.CheckConstraint(
                condition=(Q(state__in=OUT_OF_USE, trouble_since__isnull=False) & ~Q(trouble=""))
                | (~Q(state__in=OUT_OF_USE) & Q(trouble_since=None, trouble="", trouble_note="")),
                name="out_of_use_for_a_reason",
            ),
        ),
        migrations.AlterField(
            model_name="reservation",
            name="state",
            field=models.CharField(
                choices=[
                    ("reserved", "Reserved"),
                    ("depositing", "Depositing"),
                    ("deposited", "Deposited"),
                    ("collecting", "Collecting"),
                    ("collected", "Collected"),
                    ("overdue", "Overdue"),
                    ("missing", "Missing"),
                    ("cancelled", "Cancelled"),
                    ("expired", "Expired"),
                ],
                default="reserved",
                max_length=12,
            ),
        ),
    ]
