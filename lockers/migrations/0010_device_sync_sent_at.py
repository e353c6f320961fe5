from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("lockers", "0009_disputes"),
    ]

    operations = [
        migrations.AddField(
            model_name="device",
            name="sync_sent_at",
            field=models.DateTimeField(help_text="When it was last asked for what is missing.", null=True),
        ),
    ]
