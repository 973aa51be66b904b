/*
 * One run from its placement to its end: launch, registration, dispatch, the runner, cancel, finish, and the watchdog. The
 * first attempt has all of that; a second one is there to be at work, on a VM that is well.
 *
 * Each WITHOUT_<name> takes one guard out; test/model/guards.ts says which of core/ it is.
 */
#include "common.pml"

/* Of the run. */
#define QUEUED 1
#define PROVISIONING 2
#define AT_WORK 3
#define CANCELLING 4
#define ENDED 5
/* Of the VM's row. */
#define ABSENT 0
#define LAUNCHING 1
#define READY 2
#define SILENT 3
#define DRAINING 4
#define GONE 5
/* Of an instance, which may be absent too; and of an attempt's process, which is alive, over or has vanished. */
#define ALIVE 1
#define DYING 2
#define DEAD 3
#define OVER 4
#define VANISHED 5

/* The run's row, with the attempt whose VM holds its marker; and whether the execution of each attempt was started. */
byte work = QUEUED;
byte attempt = 1;
byte marker;
bool placed[3];

/* The row of the first attempt's VM: the token of its intent, the stored instance, its slot, and its commands. */
byte vm;
byte token;
byte stored;
bool slot;
bool cancel;
bool stop;

/* The instances by token, the launch calls that may still bring one, and the attempts' processes. Index 0 is not used. */
byte instance[3];
byte underWay;
byte task[3];
/* No heartbeat for longer than the lease: like its end, this is a crash. */
bool quiet;

/* Who has read them under a guard: the run, the VM's row, and its last heartbeat. */
short runRow;
short vmRow;
short beat;
/* By process, between its read and its commit: whether the run was on the VM. */
bool onVm[PROCESSES];

#ifdef WITHOUT_launch_oneVmPerAttempt
#define LAUNCH_VM skip
#define WITHOUT_launch_runUnchanged
#else
#define LAUNCH_VM under(vmRow)
#endif
#ifdef WITHOUT_launch_runUnchanged
#define LAUNCH_RUN skip
#else
#define LAUNCH_RUN under(runRow)
#endif
#ifdef WITHOUT_claim_runUnchanged
#define CLAIM_RUN skip
#else
#define CLAIM_RUN under(runRow)
#endif
#ifdef WITHOUT_claim_vmUnchanged
#define CLAIM_VM skip
#else
#define CLAIM_VM under(vmRow)
#endif
#ifdef WITHOUT_finish_runUnchanged
#define FINISH_RUN skip
#else
#define FINISH_RUN under(runRow)
#endif
#ifdef WITHOUT_nextAttempt_runUnchanged
#define NEXT_RUN skip
#else
#define NEXT_RUN under(runRow)
#endif
#ifdef WITHOUT_cancel_runUnchanged
#define CANCEL_RUN skip
#define CANCEL_VM false
#else
#define CANCEL_RUN under(runRow)
#define CANCEL_VM true
#endif
#ifdef WITHOUT_drain_vmUnchanged
#define DRAIN_VM skip
#else
#define DRAIN_VM under(vmRow)
#endif
#ifdef WITHOUT_silent_noHeartbeatSince
#define SILENT_BEAT skip
#else
#define SILENT_BEAT under(beat)
#endif
#ifdef WITHOUT_condemn_vmUnchanged
#define CONDEMN_VM skip
#else
#define CONDEMN_VM under(vmRow)
#endif
#ifdef WITHOUT_launch_sameToken
#define TOKEN mine
#else
#define TOKEN token
#endif
#ifdef WITHOUT_finish_onlyUndispatched
#define STILL_WITHOUT_VM true
#else
#define STILL_WITHOUT_VM (marker == 0)
#endif
#ifdef WITHOUT_finish_sameAttempt
#define IS_AT(att) true
#else
#define IS_AT(att) (attempt == att)
#endif
#ifdef WITHOUT_release_notInUse
#define IN_USE false
#else
#define IN_USE (marker == 1 || slot)
#endif
#ifdef WITHOUT_observe_terminated
#define ENDED_FOR_SURE(i) (instance[i] != ALIVE)
#else
#define ENDED_FOR_SURE(i) (instance[i] == ABSENT || instance[i] == DEAD)
#endif
#ifdef WITHOUT_observe_settled
#define SETTLED true
#else
#define SETTLED (underWay == 0)
#endif

inline forget(who) {
	onVm[who] = false;
	standing = standing & ~(1 << who);
	runRow = runRow & ~(1 << who); vmRow = vmRow & ~(1 << who); beat = beat & ~(1 << who)
}

#define stand() standing = standing | ME

/* Whoever changes the run where it may be on the VM has read both. */
inline withItsVm(isGuarded) {
	onVm[_pid] = (marker == 1);
	if
	:: marker == 1 && isGuarded -> under(vmRow)
	:: else
	fi;
	stand()
}

/* The run leaves its VM, which drains. */
inline commitWithoutVm() {
	if
	:: onVm[_pid] ->
		slot = false;
		if
		:: vm == READY || vm == SILENT -> vm = DRAINING; stop = true
		:: else
		fi;
		changed(vmRow)
	:: else
	fi;
	forget(_pid); changed(runRow)
}

/* Asks for the end of whatever was launched. */
inline terminate() {
	if
	:: instance[1] == ALIVE -> instance[1] = DYING
	:: else
	fi;
	if
	:: instance[2] == ALIVE -> instance[2] = DYING
	:: else
	fi
}

inline commitFinish(att, only, report) {
	I3(work != ENDED);
	I7(!report || attempt == att);
	I9(!only || marker == 0);
	work = ENDED;
	commitWithoutVm()
}

inline commitNext(only) {
	I3(work != ENDED);
	I9(!only || marker == 0);
	work = QUEUED; attempt = 2; marker = 0;
	commitWithoutVm();
	if
	:: crashLeft -> crashLeft = false
	:: placed[2] = true
	fi
}

inline commitDrain() {
	I9(!slot);
	vm = DRAINING; stop = true;
	forget(_pid); changed(vmRow)
}

/* The one end. `only`: while no VM holds the marker. `report`: by the runner of the attempt's VM. */
inline finish(att, only, report) {
	do
	:: atomic {
		if
		:: work == ENDED || !IS_AT(att) || (only && !STILL_WITHOUT_VM) -> break
		:: else -> FINISH_RUN; withItsVm(true)
		fi
	   };
	   atomic {
		if
		:: STANDS -> commitFinish(att, only, report); break
		:: else
		fi
	   }
	od
}

/* From the first attempt to the second, and its placement, unless the process dies in between. */
inline nextAttempt(only) {
	do
	:: atomic {
		if
		:: work == ENDED || work == CANCELLING || attempt != 1 || (only && marker != 0) -> break
		:: else -> NEXT_RUN; withItsVm(true)
		fi
	   };
	   atomic {
		if
		:: STANDS -> commitNext(only); break
		:: else
		fi
	   }
	od
}

/* The dispatch marker: by the registration and by the execution. `unfit` where the VM cannot take the run. */
inline claim() {
	do
	:: atomic {
		if
		:: work == ENDED || attempt != 1 || marker != 0 -> break
		:: work != ENDED && attempt == 1 && marker == 0 && vm != READY -> isUnfit = true; break
		:: else -> CLAIM_RUN; CLAIM_VM; stand()
		fi
	   };
	   atomic {
		if
		:: STANDS ->
			I3(work != ENDED);
			I9(vm == READY);
			work = AT_WORK; marker = 1; slot = true;
			forget(_pid); changed(runRow); changed(vmRow);
			break
		:: else
		fi
	   }
	od
}

/* Lets go of a VM that carries nothing. */
inline release() {
	do
	:: atomic {
		if
		:: vm == ABSENT || vm == GONE || IN_USE -> break
		:: vm == DRAINING && !IN_USE -> terminate(); break
		:: else -> DRAIN_VM; stand()
		fi
	   };
	   atomic {
		if
		:: STANDS -> commitDrain()
		:: else
		fi
	   }
	od
}

/*
 * The state machine's execution (state-machines/provision-vm.asl.json) of the first attempt. Its twin is a LaunchVm that was
 * given up as too late and works on: it has planned for other pools, which would be another token.
 */
proctype Execution(byte mine) {
	byte own;
	bool isUnfit;
end:
	placed[1];
	if
	:: mine == 2 -> goto over
	:: true
	fi;
launch:
	atomic {
		if
		:: work == ENDED || attempt != 1 -> goto over
		:: work != ENDED && attempt == 1 && (vm == DRAINING || vm == GONE) -> goto failed
		:: work != ENDED && attempt == 1 && vm == ABSENT -> LAUNCH_RUN; LAUNCH_VM; stand()
		:: work != ENDED && attempt == 1 && vm != ABSENT && vm < DRAINING && stored != 0 -> goto launched
		:: else -> own = TOKEN; underWay++; goto call
		fi
	};
	atomic {
		if
		:: STANDS ->
			I3(work != ENDED);
			work = PROVISIONING; vm = LAUNCHING; token = mine; stored = 0;
			own = mine; underWay++;
			forget(_pid); changed(runRow); changed(vmRow)
		:: else -> goto launch
		fi
	};
call:
	atomic {
		if
		:: instance[own] == ABSENT -> instance[own] = ALIVE
		:: else
		fi;
		I2(instance[1] != ALIVE || instance[2] != ALIVE);
		if
		:: lossLeft -> lossLeft = false; underWay--; own = 0; goto launch
		:: crashLeft -> crashLeft = false; underWay--; own = 0; goto launch
		:: true
		fi
	};
	atomic {
		underWay--;
		if
		:: stored == 0 && vm == LAUNCHING -> stored = own; changed(vmRow)
		:: stored == own
		:: else ->
			if
			:: instance[own] == ALIVE -> instance[own] = DYING
			:: else
			fi;
			own = 0;
			goto over
		fi;
		own = 0
	};
launched:
	if
	:: mine == 2 -> goto over
	:: mine == 1 && vm >= READY
	:: mine == 1 -> goto failed
	fi;
	claim();
	if
	:: isUnfit
	:: else -> goto over
	fi;
failed:
	if
	:: mine == 2 -> goto over
	:: else
	fi;
	release();
	if
	:: nextAttempt(true)
	:: true
	fi;
	finish(1, true, false);
over:	atomic { isUnfit = false }
}

/* The runner on the VM: its registration, and from then on its heartbeats. */
proctype Runner() {
	bool isUnfit;
end:
	stored != 0;
register:
	atomic {
		if
		:: vm == LAUNCHING && instance[stored] == ALIVE -> under(vmRow); stand()
		:: else -> goto beats
		fi
	};
	atomic {
		if
		:: STANDS -> vm = READY; forget(_pid); changed(vmRow)
		:: else -> goto register
		fi
	};
	claim();
beats:
	isUnfit = false;
	do
	:: atomic { instance[stored] == DEAD -> break }
	:: atomic { instance[stored] == ALIVE && !quiet && slot && !cancel && task[1] == ABSENT ->
			task[1] = ALIVE;
			I2(task[2] != ALIVE)
		}
	:: atomic { instance[stored] == ALIVE && !quiet && cancel && task[1] < OVER -> task[1] = OVER }
	:: atomic { task[1] == ALIVE -> task[1] = OVER }
	:: instance[stored] == ALIVE && !quiet && task[1] == OVER && slot -> finish(1, false, true)
	:: atomic { instance[stored] == ALIVE && !quiet && stop ->
			I9(task[1] != ALIVE || !slot);
			instance[stored] = DYING
		}
	:: atomic { instance[stored] == ALIVE && quiet ->
			quiet = false; changed(beat);
			if
			:: vm == SILENT -> vm = READY; changed(vmRow)
			:: else
			fi
		}
	od
}

/* The second attempt: it is dispatched, its process starts and ends, and its VM reports that. */
proctype Second() {
end:
	placed[2];
	atomic {
		if
		:: work == QUEUED && attempt == 2 ->
			work = AT_WORK; marker = 2; changed(runRow);
			task[2] = ALIVE;
			I2(task[1] != ALIVE)
		:: else -> goto over
		fi
	};
	atomic {
		task[2] = OVER;
		if
		:: work != ENDED -> work = ENDED; changed(runRow)
		:: else
		fi
	}
over:	skip
}

inline dies(t) {
	atomic {
		instance[t] == DYING -> instance[t] = DEAD;
		if
		:: stored == t && task[1] == ALIVE -> task[1] = VANISHED
		:: else
		fi
	}
}

#define IS_UP (vm == READY && instance[stored] == ALIVE)

/* What was asked to end ends some time later, and what runs on it. A VM may end by itself, or be cut off for a while. */
proctype Ec2() {
end:
	do
	:: dies(1)
	:: dies(2)
	:: atomic { crashLeft && IS_UP -> crashLeft = false; instance[stored] = DYING }
	:: atomic { crashLeft && IS_UP -> crashLeft = false; quiet = true }
	od
}

/* A cancel by hand: at once where no VM holds the marker, and else by telling the runner. */
proctype Cancel() {
	if
	:: goto over
	:: true
	fi;
ask:
	atomic {
		if
		:: work == ENDED || work == CANCELLING || marker == 2 -> goto over
		:: work != ENDED && work != CANCELLING && marker == 1 -> CANCEL_RUN; withItsVm(CANCEL_VM)
		:: else -> goto undispatched
		fi
	};
	atomic {
		if
		:: STANDS ->
			I3(work != ENDED);
			work = CANCELLING; cancel = true;
			changed(vmRow); forget(_pid); changed(runRow);
			goto over
		:: else -> goto ask
		fi
	};
undispatched:
	finish(attempt, true, false);
	goto ask;
over:	skip
}

#define NEEDED (work != ENDED && attempt == 1 && (marker == 0 || marker == 1))
#define ALL_ENDED (ENDED_FOR_SURE(1) && ENDED_FOR_SURE(2) && SETTLED)
/* The second watchdog is the one that begins while the first is at something: which is which makes no difference. */
#define FIRST_WATCHDOG 6
#define TURN (!second || (standing & (1 << FIRST_WATCHDOG)))

/*
 * Each look is there only while it has something to do: so the system is at rest when nothing moves. A look whose read is
 * lost is over. The end of a start that takes too long is what a cancel does, so it is not here once more.
 */
proctype Watchdog(bool second) {
	assert(second || _pid == FIRST_WATCHDOG);
end:
	do
	:: atomic { !second && work == QUEUED && !placed[attempt] -> placed[attempt] = true }
	:: atomic { TURN && ((vm == LAUNCHING && !NEEDED) || (vm == READY && !IN_USE)) -> DRAIN_VM; stand() };
		atomic {
			if
			:: STANDS -> commitDrain()
			:: else
			fi
		}
	:: atomic { TURN && vm == READY && quiet && instance[stored] != DEAD -> under(vmRow); SILENT_BEAT; stand() };
		atomic {
			if
			:: STANDS -> I9(quiet); vm = SILENT; forget(_pid); changed(vmRow)
			:: else
			fi
		}
	:: atomic { TURN && vm == SILENT -> CONDEMN_VM; stand() };
		atomic {
			if
			:: STANDS -> I9(quiet); vm = DRAINING; forget(_pid); changed(vmRow); terminate()
			:: else
			fi
		}
	:: atomic { TURN && vm == DRAINING && slot && ALL_ENDED && work != CANCELLING && attempt == 1 -> NEXT_RUN; withItsVm(true) };
		atomic {
			if
			:: STANDS -> commitNext(false)
			:: else
			fi
		}
	:: atomic { TURN && vm == DRAINING && slot && ALL_ENDED -> FINISH_RUN; withItsVm(true) };
		atomic {
			if
			:: STANDS -> commitFinish(1, false, false)
			:: else
			fi
		}
	:: atomic { !second && vm == DRAINING && !slot && ALL_ENDED -> vm = GONE; changed(vmRow) }
	:: atomic { !second && vm == READY && instance[stored] == DEAD -> vm = DRAINING; changed(vmRow) }
	:: atomic { !second && vm == DRAINING && (instance[1] == ALIVE || instance[2] == ALIVE) -> terminate() }
	od
}

#define NO_INSTANCE(t) (instance[t] == ABSENT || instance[t] == DEAD)

/* Nothing moves any more. */
proctype Rest() {
	timeout;
	I6((vm == ABSENT || vm == GONE) && NO_INSTANCE(1) && NO_INSTANCE(2));
	I14(work == ENDED)
}

init {
	atomic {
		run Execution(1); run Execution(2); run Runner(); run Second(); run Cancel();
		run Watchdog(false); run Watchdog(true); run Ec2(); run Rest()
	}
}
