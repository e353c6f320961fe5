from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("lockers", "0001_initial"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="lockercode",
            name="live_code_by_end",
        ),
        migrations.RemoveIndex(
            model_name="opencommand",
            name="command_to_offer",
        ),
        migrations.RemoveIndex(
            model_name="opencommand",
            name="live_command_by_deadline",
        ),
        migrations.AddIndex(
            model_name="lockercode",
            index=models.Index(fields=["state", "valid_until"], name="code_by_state_and_end"),
        ),
        migrations.AddIndex(
            model_name="lockercode",
            index=models.Index(fields=["namespace", "digest"], name="code_by_digest"),
        ),
        migrations.AddIndex(
            model_name="opencommand",
            index=models.Index(fields=["state", "expires_at"], name="command_by_state_and_deadline"),
        ),
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(fields=["state", "collecting_since"], name="reservation_by_state"),
        ),
    ]
