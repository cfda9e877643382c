"""What the integration tests use of the module `test.service`, which the source distribution lacks.

Upstream's starts Kafka's processes. These tests are told of a broker that runs (KAFKA_URI).
"""


class ExternalService:
    def __init__(self, host, port):
        self.host = host
        self.port = port

    def open(self):
        pass

    def dump_logs(self):
        pass

    def wait_for(self, pattern, timeout=30):
        pass

    def start(self):
        pass

    def stop(self):
        pass


class SpawnedService:
    def __init__(self, *args, **kwargs):
        raise RuntimeError("these tests start no processes")
