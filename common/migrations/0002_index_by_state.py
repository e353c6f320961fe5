from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("common", "0001_initial"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="intent",
            name="intent_open_by_due",
        ),
        migrations.AddIndex(
            model_name="intent",
            index=models.Index(fields=["state", "not_before"], name="intent_by_state_and_due"),
        ),
    ]
