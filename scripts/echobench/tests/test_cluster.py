"""What follows for a hundred machines from figures that are easy to follow."""

from echobench import cluster


def test_limits_follow_from_what_was_measured() -> None:
    of = cluster.Measured(client_ns=5_000, server_ns=4_000, segments=1.0, descriptors=20_500,
                          ports=28_232, memory=200)
    found = {row[0]: row[2] for row in cluster.rows(of)}
    assert found["CPU of the load"] == "5.0 cores of each"  # 1 M messages of 5 us
    assert found["CPU of the servers"] == "400 cores in all"
    assert found["descriptors"].startswith("5 ranks")  # 100,000 connections
    assert found["ports"].startswith("2.8 M connections to one; with all 64,512 ports 6.5 M")
    assert found["memory of loadgen"].startswith("19.1 MiB")
    assert found["memory of rank 0"].startswith("645 MiB")  # 500 ranks with 5 x 270,336 bytes
    assert found["network"] == ("1.2 Gbit/s and 1.0 M packets/s each way at each, "
                                "123 Gbit/s at the servers")
