"""Stages: tables and cubes in, tables and cubes out, one exposure or tile at a time; no cluster needed."""
