from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("lockers", "0008_compartment_checks"),
    ]

    operations = [
        migrations.AddField(
            model_name="reservation",
            name="disputed_at",
            field=models.DateTimeField(
                help_text="Since when its resident says that something is wrong; the code is frozen.",
                null=True,
            ),
        ),
    ]
