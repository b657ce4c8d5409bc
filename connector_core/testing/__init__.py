"""What a plugin's author needs to prove a plugin: contract kits, and `faults`, an HTTP front that breaks answers on
purpose."""
