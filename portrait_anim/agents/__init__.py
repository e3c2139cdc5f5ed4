"""A live face in frameworks for voice agents: Pipecat and LiveKit Agents. Each needs its extra."""
