/** The application that the tests of `events check` and `state` name: orders as their classes are today. */
import { IsInt, IsString, Min } from 'class-validator';
import { Aggregate, AggregateRoot, Apply, Event, type FoldlogOptions, Upcast } from '../../../src/index.js';

@Event({ type: 'OrderPlaced', version: 2 })
export class OrderPlaced {
  @IsString() customer!: string;
  @IsInt() @Min(1) cents!: number;

  @Upcast('OrderPlaced', 1) static cents({ euros, ...rest }: { euros: number }): object {
    return { ...rest, cents: euros * 100 };
  }
}

@Aggregate({ topic: 'orders', stream: 'order' })
export class Order extends AggregateRoot {
  cents = 0;
  customers = new Map<string, number>();

  place(customer: string, cents: number): void {
    this.apply(OrderPlaced, { customer, cents });
  }

  @Apply(OrderPlaced) protected onPlaced({ customer, cents }: OrderPlaced): void {
    this.cents += cents;
    this.customers.set(customer, cents);
  }
}

const app: FoldlogOptions = {
  handlers: [Order],
  // Nothing is there: the command line says where the log lies.
  store: '/nowhere/foldlog',
  config: { mappedFileSizeCommitLog: 1024 * 1024, maxHashSlotNum: 1_000, maxIndexNum: 4_000 },
};
export default app;
