"""From places to metres and seconds: geodesics, roads of OpenStreetMap, or a routing server."""
