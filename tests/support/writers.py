"""Callers that write while something breaks, and remember what they were told."""

import threading
import time

PASSENGER = {"survived": False, "passengerClass": 3, "sex": "male", "age": 20, "siblingsOrSpousesAboard": 0, "parentsOrChildrenAboard": 0, "fare": 1}


class Writers:
    """They add passengers through one host, one after the other."""

    def __init__(self, host, name, count=4):
        self.host, self.name = host, name
        self.acknowledged, self.refused, self.longest = [], 0, 0.0
        self.going, self.wrong = True, []
        self.threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def _write(self, number):
        count = 0
        while self.going:
            count += 1
            asked = time.monotonic()
            answer = self.host.request("POST", "/people", {**PASSENGER, "name": f"{self.name} {number} {count}"})
            self.longest = max(self.longest, time.monotonic() - asked)
            if answer.status == 201:
                self.acknowledged.append((asked, time.monotonic(), answer.json["uuid"]))
            else:
                self.refused += 1
                if answer.status not in (503, 504):
                    self.wrong.append(answer.body)
                time.sleep(0.05)

    def since(self, moment):
        """When the first write was acknowledged that was asked for after `moment`."""
        return min((told for asked, told, _ in list(self.acknowledged) if asked > moment), default=None)

    def end(self):
        self.going = False
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong[:3]

    def lost(self, kept):
        """When the writes were acknowledged that are not among `kept`."""
        return [told for _, told, one in self.acknowledged if one not in kept]
