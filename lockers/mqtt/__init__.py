"""The MQTT form of the locker link: what is said on which topic, by the process that `locker_link` runs."""
