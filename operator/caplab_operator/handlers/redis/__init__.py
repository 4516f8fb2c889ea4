"""Handlers of RedisCluster, and what follows its primary between the rounds."""
