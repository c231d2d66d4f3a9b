from datetime import timedelta

from django.db import migrations, models


def as_far_as_days_looked(apps, schema_editor):
    """Of runs before: two weeks back, as far as they look without a charge of several days."""
    run = apps.get_model("attribution", "Run")
    for one in run.objects.all():
        one.looked_from, one.looked_until = one.day - timedelta(days=14), one.day
        one.save(update_fields=["looked_from", "looked_until"])


class Migration(migrations.Migration):
    dependencies = [("attribution", "0004_policy_history")]

    operations = [
        migrations.AddField("run", "looked_from", models.DateField(null=True)),
        migrations.AddField("run", "looked_until", models.DateField(null=True)),
        migrations.RunPython(as_far_as_days_looked, migrations.RunPython.noop),
        migrations.AlterField("run", "looked_from", models.DateField()),
        migrations.AlterField("run", "looked_until", models.DateField()),
    ]
