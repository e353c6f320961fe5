from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("lockers", "0002_indexes_by_state")]

    operations = [
        migrations.AddField(
            model_name="device",
            name="transport",
            field=models.CharField(
                choices=[("https", "Https"), ("mqtt", "Mqtt")], default="https", max_length=5
            ),
        )
    ]
