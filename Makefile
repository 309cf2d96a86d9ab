# Every target works on a fresh clone; the work is in tools/make.py. Without make: python tools/make.py lab
#   make lab PORT=9000        make test ARGS=tests/test_mdp.py        make claims ARGS="trajectory_weighting --seed 3"
#   make bench ONLY=offline   make lab PYTHON=python3.12
PYTHON ?= python3
TARGETS := lab setup test check claims notebooks bench book soak newest

.PHONY: $(TARGETS)
$(TARGETS):
	@PORT='$(PORT)' $(PYTHON) tools/make.py $@ $(ONLY) $(ARGS)
