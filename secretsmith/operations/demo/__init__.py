"""``secretsmith demo``: the main job from end to end, with real keys and real commands, on a throw-away fleet."""

from secretsmith.operations.demo.story import run_demo

__all__ = ["run_demo"]
