"""
What this app announces.

Each is sent inside the transaction of the fact, with ``at`` (business time). Reservation signals carry
``reservation``; compartment signals carry ``compartment`` and ``reservation`` (which may be ``None``); alarm
signals carry ``alarm``, whose own moments are real time.
"""

from django.dispatch import Signal

#: The goods lie behind a closed door and the courier said so. ``reservation``, ``at``
reservation_deposited = Signal()
#: The goods were taken out, the compartment is free. ``reservation``, ``at``
reservation_collected = Signal()
#: The holding time ended; the goods still lie there. ``reservation``, ``at``
reservation_overdue = Signal()
#: The claim ended without a deposit. ``reservation``, ``at``
reservation_expired = Signal()
#: A door did not move. ``compartment``, ``reservation``, ``command`` (or ``None``), ``purpose``, ``at``
door_jammed = Signal()
#: Someone has to look into the compartment, or it is out of service: its ``state`` says which.
#: ``compartment``, ``reservation``, ``reason``, ``at``
compartment_needs_check = Signal()
#: Goods behind a door that was out of use can be collected again. ``reservation``, ``at``
reservation_within_reach = Signal()
#: Someone looked, and the goods do not lie where they should. ``reservation``, ``at``
reservation_missing = Signal()
#: A code was refused at a keypad. ``locker``, ``outcome`` (a stable code), ``at``
code_refused = Signal()
#: Somebody has to act; ``alarm.level`` says who. ``alarm``, ``at``
alarm_raised = Signal()
#: Nobody ended the cause in time, or it got worse: the level rose. ``alarm``, ``at``
alarm_escalated = Signal()
#: The cause of an alarm is over. ``alarm``, ``at``
alarm_ended = Signal()
