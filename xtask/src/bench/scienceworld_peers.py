"""Plays episodes with ScienceWorld's Python package as it is told to; `cargo xtask bench scienceworld`
measures this process and its JVMs meanwhile.

    python scienceworld_peers.py step EPISODES.json
    python scienceworld_peers.py raw EPISODES.json

`step` is the package's `env.step`, which asks for the valid actions after every action; `raw` asks the
simulator behind it for the observation, the score and whether the task is completed, and nothing else.
EPISODES.json is a list of {"task", "variation", "simplification", "actions"}. A line read is a command,
a line written its answer in JSON; what is measured says its versions first.

    open            makes one more environment and loads the first episode
    play N ACTIONS  the newest environment loads each of the first N episodes and executes its first
                    ACTIONS actions; the answer is the last score of each in hundredths
"""

import json
import platform
import sys
from importlib.metadata import version

from scienceworld import ScienceWorldEnv


class Step:
    """The package as it is used: its `step` gives everything it can."""

    def __init__(self):
        self.env = ScienceWorldEnv()

    def load(self, game):
        self.env.load(game["task"], game["variation"], game["simplification"])
        self.env.taskdescription()
        return self.step("look around")

    def step(self, action):
        _, _, _, infos = self.env.step(action)
        return infos["score"]

    def close(self):
        self.env.close()
        self.env._gateway.java_process.wait()


class Raw(Step):
    """The same simulator, asked for what an episode needs."""

    def load(self, game):
        self.env.server.load(game["task"], game["variation"], game["simplification"], False)
        self.env.server.freeActionTaskDesc()
        return self.step("look around")

    def step(self, action):
        self.env.server.step(action)
        score = self.env.server.getScore()
        self.env.server.getCompleted()
        return round(100 * score)


def play(environment, episodes, n_actions):
    scores = []
    for episode in episodes:
        score = environment.load(episode)
        for action in episode["actions"][:n_actions]:
            score = environment.step(action)
        scores.append(score)
    return scores


def answer(value):
    print(json.dumps(value), flush=True)


def main():
    kind = {"step": Step, "raw": Raw}[sys.argv[1]]
    with open(sys.argv[2], encoding="utf-8") as file:
        episodes = json.load(file)
    answer(f"scienceworld {version('scienceworld')}, Python {platform.python_version()}")
    environments = []
    for line in sys.stdin:
        command, *numbers = line.split()
        if command == "open":
            environments.append(kind())
            environments[-1].load(episodes[0])
            answer(None)
        else:
            n_episodes, n_actions = map(int, numbers)
            answer(play(environments[-1], episodes[:n_episodes], n_actions))
    for environment in environments:
        environment.close()


main()
