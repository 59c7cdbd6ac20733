"""How the steps of a stage are computed: on a backend, on one device or many."""
