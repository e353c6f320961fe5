"""How much the lockers' service bears, and how quick it is: figures that anybody can measure again."""
