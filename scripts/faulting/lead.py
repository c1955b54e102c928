"""Whoever leads a team: has weights trained, promotes them and takes that back."""

from collections.abc import Callable
from pathlib import Path

from lib.store import Models
from scripts.faulting.worker import Worker


class Lead(Worker):
    """Promotes, rolls back and, if asked for, trains.

    Args:
        url, name, seed, told: as `Worker`.
        state: the state folder, in which what was acknowledged must be.
        trains: start trainings too.
    """

    def __init__(
        self, url: str, name: str, seed: int, told: Callable[[str], None], state: Path, trains: bool
    ) -> None:
        super().__init__(url, name, seed, told)
        self._models, self._trains = Models(state / "models"), trains
        self._champion: int | None = None
        self._asked: int | None = None
        self._versions: set[int] = {one.number for one in self._models.versions()}
        self.trained = 0

    def act(self) -> None:
        """Promote, roll back, or look after the training."""
        kind = self.random.choices(["promote", "rollback", "train"], [3, 2, 2 if self._trains else 0])[0]
        if kind == "train":
            self._train()
            return
        self._asked = self.random.choice(sorted(self._versions)) if kind == "promote" else None
        body = {"version": self._asked} if kind == "promote" else {}
        if reply := self.send(kind, "POST", f"/segpet/weights/{kind}", body):
            self._champion = reply.json()["champion"]
            if kind == "promote" and self._champion != self._asked:
                self.broken.append(
                    f"{self.name}: promoted {self._asked}, and {self._champion} is the champion"
                )

    def verify(self) -> None:
        """Compare the champion and the versions with what was acknowledged."""
        champion = self._models.champion()
        number = champion.number if champion else None
        # An unanswered rollback goes to one that only the registry knows.
        if number != self._champion and self.flight not in ("promote", "rollback"):
            self.broken.append(f"{self.name}: the champion is {number}, acknowledged was {self._champion}")
        if number != self._champion and self.flight == "promote" and number != self._asked:
            self.broken.append(f"{self.name}: the champion is {number}, asked for was {self._asked}")
        there = {one.number for one in self._models.versions()}
        if missing := self._versions - there:
            self.broken.append(f"{self.name}: versions {sorted(missing)} of the weights are gone")
        self._champion, self._versions, self.flight = number, there, ""

    def _train(self) -> None:
        told = self.get("/segpet/training").json()
        training = told["training"]
        seen = {one["version"] for one in told["versions"]}
        if missing := self._versions - seen:
            self.broken.append(f"{self.name}: versions {sorted(missing)} of the weights are not listed")
        self.trained += len(seen - self._versions)
        self._versions |= seen
        if training["status"] == "failed":
            self.broken.append(f"{self.name}: the training failed: {training['message']}")
        if training["status"] == "running":
            return
        resumes = training["status"] in ("killed", "stopped")
        seed = self.random.randrange(1000)
        body = {"resume": True} if resumes else {"mode": "decoder", "max_epochs": 1, "seed": seed}
        self.send("train", "POST", "/segpet/training", body)
