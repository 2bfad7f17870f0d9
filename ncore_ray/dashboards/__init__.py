"""Dashboards for Grafana, made from data so that they stay alike; the files in `dashboards/` are what comes out."""
