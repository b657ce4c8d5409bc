"""Metering: periods, quota, forecast, and what another frequency would cost. Pure functions over what the ledger's
receipts say; only `quota` asks the ledger itself.
"""
