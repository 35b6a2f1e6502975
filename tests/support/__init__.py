"""What the tests share: reference answers, data, commands, servers and attacks."""
