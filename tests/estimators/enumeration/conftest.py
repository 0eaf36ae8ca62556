"""What several files about handlers need."""

import queue
import threading

import pytest


@pytest.fixture
def ask_thread():
    """Has a thread that was there before any run make a call, and returns the result."""
    asked, answered = queue.SimpleQueue(), queue.SimpleQueue()

    def serve():
        while (call := asked.get()) is not None:
            answered.put(call())

    def ask(call):
        asked.put(call)
        return answered.get(timeout=60.0)  # seconds, or it has failed

    thread = threading.Thread(target=serve)
    thread.start()
    yield ask
    asked.put(None)
    thread.join()
