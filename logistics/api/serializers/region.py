"""Places that everyone with a role in the region may know."""

from rest_framework import serializers

from logistics.models import Shop, SupplyPoint


class ShopSerializer(serializers.ModelSerializer[Shop]):
    """A shop and its opening hours."""

    class Meta:
        model = Shop
        fields = ("id", "slug", "name", "kind", "village", "latitude", "longitude", "opens", "closes")


class SupplyPointSerializer(serializers.ModelSerializer[SupplyPoint]):
    """A village's place for goods."""

    has_locker = serializers.SerializerMethodField()
    has_counter = serializers.BooleanField()

    class Meta:
        model = SupplyPoint
        fields = (
            "id",
            "name",
            "village",
            "latitude",
            "longitude",
            "has_locker",
            "has_counter",
            "counter_opens",
            "counter_closes",
        )

    def get_has_locker(self, point: SupplyPoint) -> bool:
        """Tell whether there is a locker."""
        return point.locker_id is not None
